"""A trained score network samples the data's distribution times the weights (Theorem 2)."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisor.config.params import Params
from fisor.data.transitions import Transitions
from fisor.nn.networks import forward
from fisor.policies import diffusion, regression
from fisor.training.fit import fit

DRAWS = 4000


@pytest.fixture(scope="module")
def trained(small_params: Callable[..., Params]) -> tuple[Params, Any]:
    """Four networks trained on -0.6 (share 0.3) and 0.6 (share 0.7).

    The first weighs all rows alike, the second those of -0.6 four times, the third with 0; the
    fourth weighs them alike, too, but draws those of -0.6 four times as often.
    T = 20: at T = 5 even the exact noise leaves a third of the samples between the modes.
    """
    rows = 1000
    actions = np.where(np.arange(rows) < 300, -0.6, 0.6).astype(np.float32)[:, None]
    nothing = np.zeros(rows, np.float32)
    data = Transitions(
        observations=np.zeros((rows, 1), np.float32),
        actions=actions,
        next_observations=np.zeros((rows, 1), np.float32),
        rewards=nothing,
        costs=nothing,
        violations=nothing,
        terminals=nothing > 0,
    )
    low = actions[:, 0] < 0
    weights = np.stack([np.where(low, weight, 1.0) for weight in (1.0, 4.0, 0.0, 1.0)])
    drawn_by = np.stack([np.where(low, weight, 1.0) for weight in (1.0, 1.0, 1.0, 4.0)])
    params = small_params(
        seeds=4,
        T=20,
        policy_units=16,
        policy_dropout=0.0,
        learning_rate=3e-3,
        soft_update=0.005,
        training_steps=2000,
        log_every_updates=2000,
    )

    states, _ = fit(
        regression.init(params, data),
        regression.update(params, 1),
        data,
        weights.astype(np.float32),
        drawn_by.astype(np.float32),
        config=params,
        batch_size=256,
        name="two modes",
    )
    return params, states.score_average


@pytest.fixture(scope="module", params=["ddpm", "dpm_solver_1"])
def two_modes(request: pytest.FixtureRequest, trained: tuple[Params, Any]) -> np.ndarray:
    """Samples `[4, DRAWS]` of the trained networks, by either sampler."""
    params, score_average = trained
    network, schedule = regression.score_network(1, params), diffusion.schedule(params.T)

    def draw(score: Any, key: jax.Array) -> jax.Array:
        observations = jnp.zeros((DRAWS, 1))
        predict = partial(forward, network, score, observations)
        return diffusion.SAMPLERS[request.param](schedule, predict, key, (DRAWS, 1))[:, 0]

    keys = jax.random.split(jax.random.key(0), 4)
    return np.asarray(jax.jit(jax.vmap(draw))(score_average, keys))


def test_trained_samples_lie_at_both_modes(two_modes: np.ndarray) -> None:
    """Nine of ten samples lie within 0.15 of a mode, and for the unweighted net on both sides."""
    near = np.abs(np.abs(two_modes) - 0.6) < 0.15
    assert (near.mean(axis=1) > 0.9).all()
    assert (np.abs(two_modes) <= 1).all()


@pytest.mark.parametrize(
    ("network", "expected"),
    # 0.3 * 4 / (0.3 * 4 + 0.7) = 0.632: the data's law times the weights, made to sum to 1
    [(0, 0.3), (1, 1.2 / 1.9), (3, 1.2 / 1.9)],
    ids=["unweighted", "weighted 4 to 1", "drawn 4 to 1"],
)
def test_weighted_regression_reweights_the_data(
    two_modes: np.ndarray, network: int, expected: float
) -> None:
    """Theorem 2 by numbers: the policy is the data's distribution times the weights.

    Whether they weigh the loss or draw the rows.

    Tolerance: four standard errors of the count (0.03), and 0.03 for the network and the steps.
    """
    share = (two_modes[network] < 0).mean()
    error = math.sqrt(expected * (1 - expected) / DRAWS)
    assert share == pytest.approx(expected, abs=4 * error + 0.03)


def test_weight_zero_removes_an_action(two_modes: np.ndarray) -> None:
    """An action of weight 0, such as one that leaves the feasible region, is not drawn."""
    assert (two_modes[2] < 0).mean() < 0.005
