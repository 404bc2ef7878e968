"""The Gaussian policy: its likelihood, its training, its draws, and acting when read back."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from configured import section
from oracles import drawn_params, twins
from scipy.stats import norm

from fisor.agents import load_agent
from fisor.config.acting import Acting
from fisor.config.params import Params
from fisor.critics import pair, trained
from fisor.critics.pair import CriticState
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.nn import checkpoint
from fisor.policies import agent, gaussian, regression, stored
from fisor.policies.gaussian import GaussianNetwork
from fisor.training.fit import fit

NETWORK = GaussianNetwork(action_dim=2, layers=2, units=8, dropout=0.0)


def mean_and_std(params: Any, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The network in NumPy float64: ReLU layers, then tanh for the mean, exp of the other."""
    layers = [
        [
            np.asarray(params["params"][f"Dense_{n}"][part], np.float64)
            for part in ("kernel", "bias")
        ]
        for n in range(4)
    ]
    x = observations.astype(np.float64)
    for kernel, bias in layers[:2]:
        x = np.maximum(x @ kernel + bias, 0)
    mean, log_std = (x @ kernel + bias for kernel, bias in layers[2:])
    return np.tanh(mean), np.exp(np.clip(log_std, -5, 2))


@pytest.fixture(scope="module")
def drawn() -> Any:
    """Parameters whose deviations differ from state to state."""
    return drawn_params(lambda key: NETWORK.init_params(key, 3), seed=1)


def test_likelihood_is_the_normal_densitys(
    drawn: Any, random_transitions: Callable[..., Transitions]
) -> None:
    """-log pi of each row, less log(2 pi) / 2 an entry.

    Oracle: scipy's density, of the network in NumPy.
    """
    rows = random_transitions(20)
    loss = jax.jit(gaussian.negative_log_likelihood, static_argnums=0)
    actual = loss(NETWORK, drawn, rows, jax.random.key(0))
    mean, std = mean_and_std(drawn, rows.observations)
    constant = np.log(2 * np.pi)  # twice the half
    expected = -norm.logpdf(rows.actions, mean, std).sum(-1) - constant
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
    assert np.unique(std.round(4)).size > 20


def test_draws_have_the_networks_mean_and_spread(drawn: Any) -> None:
    """20 000 draws in one state against the cut normal's law; all lie in [-1, 1].

    Oracle: the normal distribution's masses below nine points within (-1, 1), to five standard
    errors. A value drawn beyond a bound is put on it.
    """
    count = 20_000
    observation = np.array([[0.3, -0.2, 0.5]], np.float32)
    (mean,), (std,) = mean_and_std(drawn, observation)
    draw = jax.jit(gaussian.sample, static_argnums=0)
    actions = np.asarray(
        draw(NETWORK, drawn, np.repeat(observation, count, axis=0), jax.random.key(3))
    )
    assert np.abs(actions).max() <= 1
    points = np.linspace(-0.9, 0.9, 9)
    for entry in range(2):
        below = (actions[:, entry, None] < points).mean(0)
        law = norm.cdf(points, mean[entry], std[entry])
        assert np.abs(below - law).max() < 5 * 0.5 / np.sqrt(count)
    assert abs(np.corrcoef(actions.T)[0, 1]) < 5 / np.sqrt(count)


def test_training_finds_the_weighted_mean_and_spread(small_params: Callable[..., Params]) -> None:
    """Of one state's rows the likeliest Gaussian has their weighted mean and deviation.

    Oracle: the closed form, np.average. The first seed weighs the rows, the second draws by weight.
    """
    draw = np.random.default_rng(0)
    rows = 400
    actions = np.concatenate([draw.normal(-0.5, 0.1, 100), draw.normal(0.4, 0.2, 300)])
    actions = actions.astype(np.float32)[:, None]
    weight = np.where(np.arange(rows) < 100, 4.0, 1.0).astype(np.float32)
    nothing = np.zeros(rows, np.float32)
    state = np.zeros((rows, 1), np.float32)
    data = Transitions(state, actions, state, nothing, nothing, nothing, nothing > 0)
    params = small_params(
        policy="gaussian",
        seeds=2,
        policy_dropout=0.0,
        learning_rate=5e-3,
        soft_update=0.01,
        training_steps=1000,
        log_every_updates=1000,
    )
    even = np.ones_like(weight)
    states, _ = fit(
        regression.init(params, data),
        regression.update(params, 1),
        data,
        np.stack([weight, even]),
        np.stack([even, weight]),
        config=params,
        batch_size=256,
        name="gaussian",
    )
    mean = np.average(actions[:, 0], weights=weight)
    std = np.sqrt(np.average((actions[:, 0] - mean) ** 2, weights=weight))
    network = regression.policy_network(1, params)
    for seed in range(2):
        average = jax.tree.map(lambda stacked, seed=seed: stacked[seed], states.score_average)
        found_mean, found_log_std = network.apply(average, state[:1])
        assert float(found_mean[0, 0]) == pytest.approx(mean, abs=0.03)
        assert float(np.exp(found_log_std[0, 0])) == pytest.approx(std, rel=0.05)
    assert abs(mean - actions.mean()) > 0.2  # the weights mean something


# Acting -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    small_params: Callable[..., Params],
    random_transitions: Callable[..., Transitions],
) -> Path:
    """A saved Gaussian policy of two seeds, with a critic of drawn weights."""
    params = small_params(policy="gaussian", policy_blocks=2)
    rows = random_transitions(3)
    folder = tmp_path_factory.mktemp("gaussian")
    networks = trained.CriticNetworks.of_size(params.hidden_layers, params.hidden_units)
    q, v = drawn_params(lambda key: networks.init_params(key, 3, 2), seed=2, seeds=2)
    states = CriticState(q=None, v=v, q_target=q, q_optimiser=None, v_optimiser=None)
    (folder / "critic").mkdir()
    pair.save(folder / "critic", states, pair.checkpoint_config(params, rows))
    (folder / "policy").mkdir()
    network = regression.policy_network(2, params)
    score = drawn_params(lambda key: network.init_params(key, 3), seed=3, seeds=2)
    config = regression.checkpoint_config(params, rows) | {"agent": "FISOR"}
    critic = trained.load(folder / "critic")
    stored.save(folder / "policy", score, critic, critic, config)
    return folder / "policy"


def test_the_safest_draw_acts(folder: Path, random_transitions: Callable[..., Transitions]) -> None:
    """Loaded, N Gaussian candidates are drawn for each state and that of lowest Q_h acts.

    Oracle: the same draws, judged by NumPy's twins of the second seed.
    """
    observations, key = random_transitions(10).observations, jax.random.key(4)
    networks, stacked = stored.load(folder, checkpoint.load_config(folder))
    assert isinstance(networks.score, GaussianNetwork)
    params = jax.tree.map(lambda leaf: leaf[1], stacked)
    repeated = np.repeat(observations, 6, axis=0)
    drawn = np.asarray(gaussian.sample(networks.score, params.score, repeated, key))
    q_h = twins(params.q_h, repeated, drawn).max(0).reshape(10, 6)
    expected = drawn.reshape(10, 6, 2)[np.arange(10), q_h.argmin(1)]
    acting = section(Acting, N=6)
    actions = agent.act(networks, params, observations, key, acting)
    np.testing.assert_allclose(actions, expected, rtol=1e-5, atol=1e-6)
    assert len(set(q_h.argmin(1))) > 1


def test_a_policy_of_an_unknown_kind_is_refused(folder: Path, tmp_path: Path) -> None:
    """The file, the key and the value are named."""
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"policy": "tree"}))
    with pytest.raises(InputError, match=r"config\.json: `policy` must be .* not 'tree'"):
        load_agent(tmp_path, dataclasses.asdict(section(Acting)))
