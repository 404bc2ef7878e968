"""One update of a critic against networks computed in NumPy, and what its targets are made of."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import drawn_params, mlp, twins

from fisor.config.params import Params
from fisor.critics import feasibility, losses, pair, reward
from fisor.critics import trained as trained_critics
from fisor.critics.pair import CriticState
from fisor.data import loading, parquet
from fisor.data.transitions import Transitions


@dataclasses.dataclass
class OneUpdate:
    """A critic's state before and after one update, and what the update said."""

    rows: Transitions
    before: CriticState
    after: CriticState
    metrics: dict[str, Any]
    params: Params


def unlike_state(params: Params, rows: Transitions) -> CriticState:
    """A state whose target differs from its Q, as after some training; Adam has not begun."""
    networks = trained_critics.CriticNetworks.of_size(params.hidden_layers, params.hidden_units)
    q, v = drawn_params(lambda key: networks.init_params(key, 3, 2), seed=3)
    q_target, _ = drawn_params(lambda key: networks.init_params(key, 3, 2), seed=4)
    fresh = jax.eval_shape(pair.init(params, rows), jax.random.key(0))
    zeros = lambda tree: jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), tree)  # noqa: E731
    return CriticState(q, v, q_target, zeros(fresh.q_optimiser), zeros(fresh.v_optimiser))


@pytest.fixture(
    scope="module",
    params=[("reachability", 1), ("cost_value", 1), ("reward", 1), ("reachability", 4)],
    ids=lambda values: f"{values[0]}, value_scale {values[1]}",
)
def one_update(
    request: pytest.FixtureRequest,
    small_params: Callable[..., Params],
    random_transitions: Callable[..., Transitions],
) -> tuple[str, OneUpdate]:
    """What is learned, and one update of it."""
    learned, value_scale = request.param
    module = reward if learned == "reward" else feasibility
    kind = "reachability" if learned == "reward" else learned
    settings = {"soft_update": 0.125, "learning_rate": 1e-2, "gamma": 0.9, "tau": 0.9}
    params = small_params(feasibility=kind, value_scale=value_scale, **settings)
    rows = random_transitions(7)
    before = unlike_state(params, rows)
    step = jax.jit(module.update(params))
    after, metrics = step(before, (rows, ()), jax.random.key(0))
    return learned, OneUpdate(rows, before, after, metrics, params)


def target_of(learned: str, rows: Transitions, next_v: np.ndarray) -> np.ndarray:
    """Eq. 9, c + gamma max(V_c, 0), or Eq. 16, written out at gamma = 0.9."""
    h = rows.violations
    if learned == "reachability":
        return np.where(rows.terminals, h, 0.1 * h + 0.9 * np.maximum(h, next_v))
    if learned == "cost_value":
        assert (next_v < 0).any()
        return rows.costs + 0.9 * np.maximum(next_v, 0) * ~rows.terminals
    return rows.rewards + 0.9 * next_v * ~rows.terminals


def asymmetric_square(difference: np.ndarray, tau: float) -> np.ndarray:
    """Eq. 15's loss: tau u^2 above zero, (1 - tau) u^2 below."""
    return np.where(difference > 0, tau, 1 - tau) * difference**2


def test_losses_are_those_of_numpy_forward_passes(
    one_update: tuple[str, OneUpdate],
) -> None:
    """V learns from the target Q of both twins, then Q from the V just updated (Algorithm 1).

    Oracle: both networks in NumPy float64, Eq. 8-9 and 15-16 written out, and the cost value's.
    """
    learned, did = one_update
    rows, before, after, scale = did.rows, did.before, did.after, did.params.value_scale
    both = scale * twins(before.q_target, rows.observations, rows.actions)
    v, next_v = (
        scale * mlp(before.v, rows.observations),
        scale * mlp(after.v, rows.next_observations),
    )
    sided = both.min(0) - v if learned == "reward" else v - both.max(0)
    value_loss = asymmetric_square(sided, 0.9)
    target = target_of(learned, rows, next_v)
    q = scale * twins(before.q, rows.observations, rows.actions)
    expected = {
        "v_loss": value_loss.mean(),
        "q_loss": ((q - target) ** 2).mean(),
        "v_mean": v.mean(),
        "q_mean": q.mean(),
    }
    assert did.metrics.keys() == expected.keys()
    for name, value in expected.items():
        assert float(did.metrics[name]) == pytest.approx(value, rel=1e-5), name


def test_first_step_goes_against_the_gradient(one_update: tuple[str, OneUpdate]) -> None:
    """Adam's first step moves each weight by the learning rate against its gradient's sign.

    Oracle: differences of the NumPy losses for single weights of V and of either twin.
    """
    learned, did = one_update
    rows, before, after, scale = did.rows, did.before, did.after, did.params.value_scale
    both = scale * twins(before.q_target, rows.observations, rows.actions)
    next_v = scale * mlp(after.v, rows.next_observations)
    target = target_of(learned, rows, next_v)

    def v_loss(v: Any) -> float:
        values = scale * mlp(v, rows.observations)
        sided = both.min(0) - values if learned == "reward" else values - both.max(0)
        return asymmetric_square(sided, 0.9).mean()

    def q_loss(q: Any) -> float:
        values = scale * twins(q, rows.observations, rows.actions)
        return ((values - target) ** 2).mean()

    checked = 0
    for loss, old, new in ((v_loss, before.v, after.v), (q_loss, before.q, after.q)):
        leaves, structure = jax.tree.flatten(jax.tree.map(np.float64, old))
        moved = jax.tree.leaves(new)
        for leaf, (array, moved_array) in enumerate(zip(leaves, moved, strict=True)):
            for place in itertools.islice(np.ndindex(array.shape), 0, None, 3):
                slopes = []
                for change in (1e-5, -1e-5):
                    nudged = [a.copy() for a in leaves]
                    nudged[leaf][place] += change
                    slopes.append(loss(jax.tree.unflatten(structure, nudged)))
                slope = (slopes[0] - slopes[1]) / 2e-5
                if abs(slope) > 1e-3:  # far above Adam's epsilon and the difference's error
                    step = float(moved_array[place]) - array[place]
                    assert step == pytest.approx(-0.01 * np.sign(slope), rel=1e-3)
                    checked += 1
    assert checked > 30


def test_target_network_moves_by_soft_update(one_update: tuple[str, OneUpdate]) -> None:
    """The target becomes 7/8 of itself and 1/8 of the updated Q, weight by weight."""
    _, did = one_update
    expected = jax.tree.map(
        lambda old, q: 0.875 * np.asarray(old) + 0.125 * np.asarray(q),
        did.before.q_target,
        did.after.q,
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7),
        did.after.q_target,
        expected,
    )


def test_fresh_target_is_q(
    small_params: Callable[..., Params], random_transitions: Callable[..., Transitions]
) -> None:
    """Training starts with the target network equal to Q, and with unlike twins."""
    params = small_params(hidden_layers=1)
    state = jax.jit(pair.init(params, random_transitions(3)))(jax.random.key(1))
    jax.tree.map(np.testing.assert_array_equal, state.q, state.q_target)
    first, second = twins(state.q, np.ones((1, 3)), np.ones((1, 2)))
    assert first != second


# Timeouts ----------------------------------------------------------------------------------------


@pytest.fixture
def two_episodes(tmp_path: Path) -> Path:
    """Two episodes of two steps: the first ends in a terminal, the second in a timeout."""
    path = tmp_path / "two.parquet"
    chunk = {
        "episode": np.array([0, 0, 1, 1], np.int32),
        "step": np.array([0, 1, 0, 1], np.int32),
        "observation": np.zeros((4, 1), np.float32),
        "action": np.zeros((4, 1), np.float32),
        "next_observation": np.zeros((4, 1), np.float32),
        "reward": np.array([1, 2, 3, 4], np.float32),
        "cost": np.zeros(4, np.float32),
        "terminal": np.array([False, True, False, False]),
        "timeout": np.array([False, False, False, True]),
    }
    parquet.write_parquet(path, parquet.schema(1, 1, False, {}), [chunk])
    return path


@pytest.mark.parametrize(
    ("timeouts_are_terminal", "terminals", "reward_targets", "feasible_targets"),
    [
        # gamma 0.5, V(s') = 10 and h = 0: 0.5 * 0 + 0.5 * max(0, 10) = 5 where something follows
        (True, [False, True, False, True], [6.0, 2.0, 8.0, 4.0], [5.0, 0.0, 5.0, 0.0]),
        (False, [False, True, False, False], [6.0, 2.0, 8.0, 9.0], [5.0, 0.0, 5.0, 5.0]),
    ],
)
def test_timeouts_end_targets_only_where_asked(
    two_episodes: Path,
    timeouts_are_terminal: bool,
    terminals: list[bool],
    reward_targets: list[float],
    feasible_targets: list[float],
) -> None:
    """`timeouts_are_terminal` decides alone whether a timeout's row bootstraps."""
    rows = loading.load(two_episodes, None, timeouts_are_terminal)
    np.testing.assert_array_equal(rows.terminals, terminals)
    next_value = jnp.full(4, 10.0)
    actual = losses.bellman_target(rows.rewards, next_value, rows.terminals, 0.5)
    np.testing.assert_allclose(actual, reward_targets)
    h = np.zeros(4, np.float32)
    actual = feasibility.feasible_target(h, next_value, rows.terminals, 0.5)
    np.testing.assert_allclose(actual, feasible_targets)


# What is saved -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value_scale", "threshold"),
    [
        ("cost_value", 1, 0.25),
        ("cost_value", 3, 0.25),
        ("reachability", 1, 0),
        ("reachability", 3, 0),
    ],
)
def test_saved_values_have_the_scale_and_not_the_threshold(
    kind: str,
    value_scale: float,
    threshold: float,
    small_params: Callable[..., Params],
    random_transitions: Callable[..., Transitions],
    tmp_path: Path,
) -> None:
    """Saved and read back, V and both Q are `value_scale` times the networks, less the threshold.

    So V of at most 0 means V_c of at most 0.25. With reachability nothing is taken off. Oracle:
    the trained parameters' networks in NumPy, at every state and seed.
    """
    rows = random_transitions(7)
    networks = trained_critics.CriticNetworks.of_size(2, 8)
    q, v = drawn_params(lambda key: networks.init_params(key, 3, 2), seed=5, seeds=2)
    trained = CriticState(q=None, v=v, q_target=q, q_optimiser=None, v_optimiser=None)
    params = small_params(
        feasibility=kind, cost_value_threshold=0.25, value_scale=value_scale, hidden_layers=2
    )
    states = feasibility.finished(params, trained)
    pair.save(tmp_path, states, feasibility.checkpoint_config(params, rows))
    loaded = trained_critics.load(tmp_path)
    assert (loaded.config["feasibility"], loaded.config["threshold"]) == (kind, threshold)
    for seed in range(2):
        q_of, v_of, loaded_q = (
            jax.tree.map(lambda stacked, seed=seed: stacked[seed], tree)
            for tree in (q, v, loaded.q)
        )
        expected = value_scale * mlp(v_of, rows.observations) - threshold
        np.testing.assert_allclose(
            loaded.values(rows.observations)[seed], expected, rtol=1e-5, atol=1e-6
        )
        inputs = rows.observations, rows.actions
        np.testing.assert_allclose(
            twins(loaded_q, *inputs),
            value_scale * twins(q_of, *inputs) - threshold,
            rtol=1e-5,
            atol=1e-6,
        )
