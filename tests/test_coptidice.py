"""COptiDICE: its equations by hand, and what it learns against a linear program."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from configured import configured
from constrained_mdp import crossroads, daring_share

from fisor.agents import load_agent, load_policy
from fisor.baselines import coptidice
from fisor.baselines import coptidice_losses as losses
from fisor.baselines.actors import GaussianActor
from fisor.baselines.baseline import Problem, Trained, save
from fisor.baselines.limits import discounted_limit
from fisor.config.checking import checked
from fisor.errors import InputError
from fisor.training.fit import fit

E = np.e
HORIZON_STEPS = 20
START = float(jax.nn.softplus(1.0))  # of lambda and tau


def config(**changes: Any) -> coptidice.Config:
    return configured("COptiDICE", "train", coptidice.Config, **changes)


def per_episode(discounted: float, gamma: float, horizon_steps: int) -> float:
    """The cost per episode that a limit on the discounted costs stands for."""
    return discounted / discounted_limit(1.0, gamma, horizon_steps)


# Equations ----------------------------------------------------------------------------------------


def test_divergence_and_its_inverse_slope() -> None:
    """By hand on both sides of 1; and the slope of f, by JAX, undoes the inverse of the slope."""
    for weight, f in [(0.0, 1.0), (1 / E, 1 - 2 / E), (1.0, 0.0), (3.0, 2.0)]:
        assert float(losses.divergence(jnp.asarray(weight))) == pytest.approx(f, abs=1e-6)
    slopes = jnp.asarray([-20.0, -1.0, -1e-3, 0.0, 1e-3, 2.0])
    weights = losses.weight_of(slopes)
    assert weights[1] == pytest.approx(1 / E)
    assert [float(weights[3]), float(weights[5])] == [1.0, 3.0]
    undone = np.asarray(jax.vmap(jax.grad(losses.divergence))(weights))
    assert undone == pytest.approx(np.asarray(slopes), abs=1e-5)


@pytest.mark.parametrize(("terminal", "expected"), [(False, 0.9 * 3 - 2), (True, -2.0)])
def test_nothing_follows_a_terminal(terminal: bool, expected: float) -> None:
    """The gain of a value in a step, by hand; past a terminal not even NaN counts."""
    there = jnp.nan if terminal else 3.0
    given = jnp.asarray(2.0), jnp.asarray(there), jnp.asarray(terminal)
    assert float(losses.difference(*given, 0.9)) == pytest.approx(expected)


def test_advantage() -> None:
    """1 - 2 x 0.5 + 0.7, by hand."""
    e = losses.advantage(*(jnp.asarray(value) for value in (1.0, 0.5, 0.7, 2.0)))
    assert float(e) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("e", "weight", "loss"),
    [(0.7, 2.4, 0.4 + 2.4 * 0.7 - 0.5 * 0.98), (-0.5, 1 / E, 0.4 - 0.5 / E - 0.5 * (1 - 2 / E))],
)
def test_nu_loss(e: float, weight: float, loss: float) -> None:
    """By hand at nu(s_0) = 4, gamma 0.9, alpha 0.5; its slope in e is w, which is the best."""
    of_e = partial(losses.nu_loss, jnp.asarray(4.0), gamma=0.9, alpha=0.5)
    (value, found), slope = jax.value_and_grad(of_e, has_aux=True)(jnp.asarray(e))
    assert [float(value), float(found)] == pytest.approx([loss, weight], abs=1e-6)
    assert float(slope) == pytest.approx(weight, abs=1e-6)


def test_rows_far_from_the_best_weigh_nothing() -> None:
    """Where the weight underflows, the loss is -alpha and its slope is 0, not NaN."""
    of_e = partial(losses.nu_loss, jnp.asarray(0.0), gamma=0.9, alpha=0.5)
    (value, weight), slope = jax.value_and_grad(of_e, has_aux=True)(jnp.asarray(-1e4))
    assert [float(value), float(weight), float(slope)] == [-0.5, 0.0, 0.0]


def test_cost_residual() -> None:
    """0.1 x 3 + 2 (0.5 - 0.2), by hand."""
    residual = losses.cost_residual(*(jnp.asarray(v) for v in (2.0, 0.5, 3.0, -0.2)), gamma=0.9)
    assert float(residual) == pytest.approx(0.9)


def test_bound_loss_and_its_weights() -> None:
    """Two rows, l = 0 and 2 ln 3, tau = 2: exp(l / tau) is 1 and 3, so the rest is by hand."""
    residuals, tau = jnp.asarray([0.0, 2 * np.log(3.0)]), jnp.asarray(2.0)
    weights = np.array([0.5, 1.5])
    divergence = (weights * np.log(weights)).mean()
    value, slopes = jax.value_and_grad(losses.bound_loss, (0, 1))(residuals, tau, 0.01)
    assert losses.pessimism(residuals, tau) == pytest.approx(weights, abs=1e-6)
    assert float(value) == pytest.approx(2 * (np.log(2) + 0.01), abs=1e-6)
    assert slopes[0] == pytest.approx(weights / 2, abs=1e-6)
    assert float(slopes[1]) == pytest.approx(0.01 - divergence, abs=1e-6)


def test_multiplier_and_policy_loss() -> None:
    """By hand; descending the first raises lambda where the cost is above its threshold."""
    lagrange, loss = jnp.asarray(2.0), losses.multiplier_loss
    assert float(loss(lagrange, jnp.asarray(0.3), 0.1)) == pytest.approx(-0.4)
    assert float(jax.grad(loss)(lagrange, jnp.asarray(0.3), 0.1)) < 0
    assert float(jax.grad(loss)(lagrange, jnp.asarray(0.0), 0.1)) > 0
    assert float(losses.policy_loss(jnp.asarray(2.0), jnp.asarray(-0.5))) == 1.0


# What is made of the data -------------------------------------------------------------------------


def test_threshold_is_in_the_units_of_a_step() -> None:
    """A policy whose discounted cost is the limit has a mean step cost of the threshold, exactly.

    By the process's own linear system: 1 - gamma times the discounted sum is the mean under the
    normalised distribution. OSRL's threshold is 1 / (1 - gamma) times that.
    """
    process = crossroads(1.0)
    daring = np.array([1.0, 0.3, 0.1])
    chosen = np.stack([1 - daring, daring], axis=1)
    moves = np.einsum("sa,sat->st", chosen, process.transition)
    steps = [process.start @ np.linalg.matrix_power(moves, step) for step in range(400)]
    shares = 0.1 * sum(0.9**step * visited for step, visited in enumerate(steps))
    mean_cost = (shares[:, None] * chosen * process.costs).sum()
    _, discounted = process.values(daring)
    problem = Problem(
        HORIZON_STEPS, per_episode(discounted, 0.9, HORIZON_STEPS), np.zeros(1), np.zeros(1)
    )
    assert coptidice.threshold(config(gamma=0.9), problem) == pytest.approx(mean_cost)
    assert coptidice.threshold(
        config(gamma=0.9, cost_threshold="discounted"), problem
    ) == pytest.approx(discounted)
    dsrl = problem._replace(horizon_steps=1000, cost_limit=10.0)
    assert coptidice.threshold(config(), dsrl) == pytest.approx(0.01, rel=1e-4)
    own = coptidice.threshold(config(cost_limit=0.0), dsrl)
    assert own == 0.0


def test_every_row_has_an_initial_state_drawn_alike() -> None:
    """Each episode's first state is as frequent as the others, up to one row."""
    data, problem = crossroads(1.0).dataset(7, 5)
    data = data._replace(observations=np.arange(70, dtype=np.float32).reshape(35, 2))
    initial = coptidice.initial_observations(data, problem(cost_limit=1.0).step)
    found, counts = np.unique(initial, axis=0, return_counts=True)
    assert found.tolist() == data.observations[::5].tolist()
    assert counts.tolist() == [5] * 7


def test_deviation() -> None:
    """NumPy's own in float64; a constant column's is 0 though float32 sums would not cancel."""
    values = np.random.default_rng(0).normal(1e3, 2.0, (1000, 3)).astype(np.float32)
    values[:, 2] = 0.1
    expected = values.astype(np.float64).std(axis=0)
    assert coptidice.deviation(values) == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_a_limit_below_0_is_refused() -> None:
    """With the key and the bound."""
    values = {name: getattr(config(), name) for name in coptidice.Config.names()}
    assert checked(coptidice.Config, values | {"cost_limit": 0.0}, "params.yaml").cost_limit == 0.0
    with pytest.raises(InputError, match="cost_limit"):
        checked(coptidice.Config, values | {"cost_limit": -1.0}, "params.yaml")


# Learning -----------------------------------------------------------------------------------------

Learn = Callable[..., tuple[Trained, Path]]


@pytest.fixture(scope="module")
def learn(tmp_path_factory: pytest.TempPathFactory) -> Learn:
    """A function (discounted limit, ...) -> what was learned of the process, and its folder."""

    @cache
    def learned(
        limit: float, updates: int = 800, seeds: int = 1, cost_threshold: str = "normalised"
    ) -> tuple[Trained, Path]:
        process = crossroads(limit)
        data, problem = process.dataset(200, HORIZON_STEPS)
        parameters = config(
            seeds=seeds,
            training_steps=updates,
            log_every_updates=200,
            batch_size=64,
            hidden_layers=1,
            hidden_units=32,
            learning_rate=5e-3,
            actor_learning_rate=5e-3,
            multiplier_learning_rate=0.02,
            gamma=process.gamma,
            reward_scale=1.0,
            alpha=0.1,
            cost_threshold=cost_threshold,
        )
        given = problem(cost_limit=per_episode(limit, process.gamma, HORIZON_STEPS))
        trained = coptidice.train(
            parameters, given, data, partial(fit, config=parameters, name="COptiDICE")
        )
        folder = tmp_path_factory.mktemp("policy")
        (folder / "trained").mkdir()
        save(folder / "trained", "COptiDICE", parameters, data, trained)
        return trained, folder

    return learned


@pytest.mark.parametrize(
    ("limit", "rises"),
    [(1.0, True), (100.0, False)],
)
def test_learns_the_best_policy_within_the_limit(learn: Learn, limit: float, rises: bool) -> None:
    """Within 0.2 of the linear program's reward, at a cost within the limit plus 0.05.

    The program mixes in 8 % of daring actions in the second state; the policy acts by its mean,
    so it gives up their reward, 0.15; the next best that decides by the state is far below. Lambda
    rises from its start where the limit binds, and falls where it does not.
    """
    trained, folder = learn(limit)
    process = crossroads(limit)
    daring = daring_share(load_agent(folder / "trained", {}), 3)
    reward, cost = process.values(daring)
    assert reward == pytest.approx(process.optimum()[0], abs=0.2)
    assert cost <= limit + 0.05
    last = {name: float(values[-1, 0]) for name, values in trained.curve.metrics.items()}
    assert (last["multiplier"] > 2 * START) if rises else (last["multiplier"] < START / 2)
    if rises:  # the bound of a step's cost, then, is at its threshold
        assert last["weighted_cost"] == pytest.approx((1 - process.gamma) * limit, rel=0.2)


def test_osrls_threshold_does_not_bind(learn: Learn) -> None:
    """With the limit on the sum as the threshold of a step, the policy takes all that pays."""
    _, folder = learn(1.0, cost_threshold="discounted")
    daring = daring_share(load_agent(folder / "trained", {}), 3)
    assert daring.tolist() == crossroads(100.0).optimum()[1].round().tolist()
    assert crossroads(1.0).values(daring)[1] > 4


def test_a_seed_is_the_same_among_others(learn: Learn) -> None:
    """The first seed alone: the same as beside another but for the rounding of matrix products.

    XLA multiplies one matrix by other code than two at once, so the last bits may differ.
    """
    (alone, _), (both, _) = learn(1.0, updates=200), learn(1.0, updates=200, seeds=2)
    for one, two in zip(jax.tree.leaves(alone.params), jax.tree.leaves(both.params), strict=True):
        np.testing.assert_allclose(one[0], two[0], rtol=1e-3, atol=1e-4)
    kernel = jax.tree.leaves(both.params)[-1]
    assert np.abs(kernel[0] - kernel[1]).max() > 0.1  # seeds themselves differ


def test_the_folder_acts_by_the_mean(learn: Learn) -> None:
    """As the trained parameters do themselves, whatever the key."""
    trained, folder = learn(1.0)
    actor = GaussianActor.of(config(hidden_layers=1, hidden_units=32), 1)
    params = jax.tree.map(lambda leaf: leaf[0], trained.params)
    expected = jnp.tanh(actor(params, jnp.eye(3)).mean)
    policy = load_policy(folder)
    for seed in (0, 1):
        actions = policy.act(np.eye(3), jax.random.key(seed))
        assert np.asarray(actions) == pytest.approx(np.asarray(expected), abs=1e-6)
