"""One update against networks computed in NumPy, and a small world whose feasible set is known."""

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
from fisor.training.fit import fit


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


@pytest.fixture(scope="module", params=["reachability", "cost_value", "reward"])
def one_update(
    request: pytest.FixtureRequest,
    small_params: Callable[..., Params],
    random_transitions: Callable[..., Transitions],
) -> tuple[str, OneUpdate]:
    """What is learned, and one update of it."""
    module = reward if request.param == "reward" else feasibility
    kind = "reachability" if request.param == "reward" else request.param
    settings = {"soft_update": 0.125, "learning_rate": 1e-2, "gamma": 0.9, "tau": 0.9}
    params = small_params(feasibility=kind, **settings)
    rows = random_transitions(7)
    before = unlike_state(params, rows)
    step = jax.jit(module.update(params))
    after, metrics = step(before, (rows, ()), jax.random.key(0))
    return request.param, OneUpdate(rows, before, after, metrics, params)


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
    rows, before, after = did.rows, did.before, did.after
    both = twins(before.q_target, rows.observations, rows.actions)
    v, next_v = mlp(before.v, rows.observations), mlp(after.v, rows.next_observations)
    sided = both.min(0) - v if learned == "reward" else v - both.max(0)
    value_loss = asymmetric_square(sided, 0.9)
    target = target_of(learned, rows, next_v)
    q = twins(before.q, rows.observations, rows.actions)
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
    rows, before, after = did.rows, did.before, did.after
    both = twins(before.q_target, rows.observations, rows.actions)
    next_v = mlp(after.v, rows.next_observations)
    target = target_of(learned, rows, next_v)

    def v_loss(v: Any) -> float:
        values = mlp(v, rows.observations)
        sided = both.min(0) - values if learned == "reward" else values - both.max(0)
        return asymmetric_square(sided, 0.9).mean()

    def q_loss(q: Any) -> float:
        return ((twins(q, rows.observations, rows.actions) - target) ** 2).mean()

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


# The cost value -----------------------------------------------------------------------------------


def test_the_threshold_is_taken_off_what_is_saved(
    small_params: Callable[..., Params],
    random_transitions: Callable[..., Transitions],
    tmp_path: Path,
) -> None:
    """Saved and read back, V and both Q are the trained ones less 0.25, at every state and seed.

    So V of at most 0 means V_c of at most 0.25. With reachability nothing is taken off. Oracle:
    the trained parameters' networks in NumPy.
    """
    rows = random_transitions(7)
    networks = trained_critics.CriticNetworks.of_size(2, 8)
    q, v = drawn_params(lambda key: networks.init_params(key, 3, 2), seed=5, seeds=2)
    trained = CriticState(q=None, v=v, q_target=q, q_optimiser=None, v_optimiser=None)
    for kind, threshold in (("cost_value", 0.25), ("reachability", 0.0)):
        params = small_params(feasibility=kind, cost_value_threshold=0.25)
        (tmp_path / kind).mkdir()
        states = feasibility.at_most_zero_is_feasible(params, trained)
        pair.save(tmp_path / kind, states, feasibility.checkpoint_config(params, rows))
        loaded = trained_critics.load(tmp_path / kind)
        assert (loaded.config["feasibility"], loaded.config["threshold"]) == (kind, threshold)
        for seed in range(2):
            q_of, v_of, loaded_q = (
                jax.tree.map(lambda stacked, seed=seed: stacked[seed], tree)
                for tree in (q, v, loaded.q)
            )
            expected = mlp(v_of, rows.observations) - threshold
            np.testing.assert_allclose(
                loaded.values(rows.observations)[seed], expected, rtol=1e-5, atol=1e-6
            )
            inputs = rows.observations, rows.actions
            np.testing.assert_allclose(
                twins(loaded_q, *inputs), twins(q_of, *inputs) - threshold, rtol=1e-5, atol=1e-6
            )


# A world with a cliff -----------------------------------------------------------------------------

CELLS, SPEEDS = 10, 4
CHANGES = (-1, 0, 1)  # of the speed, as actions -1, 0, 1


def drive(cell: int, speed: int, change: int) -> tuple[int, int]:
    """A cart on a line: it moves by its speed, then changes it. The last cell is a cliff."""
    if cell == CELLS - 1:
        return cell, speed  # it stays there
    return min(cell + speed, CELLS - 1), min(max(speed + change, 0), SPEEDS - 1)


def doomed_states() -> np.ndarray:
    """`[cells, speeds]`: whether no driving keeps off the cliff. Backward iteration."""
    doomed = np.zeros((CELLS, SPEEDS), bool)
    doomed[-1] = True
    while True:
        before = doomed.copy()
        for cell, speed in np.ndindex(doomed.shape):
            doomed[cell, speed] |= all(before[drive(cell, speed, c)] for c in CHANGES)
        if (doomed == before).all():
            return doomed


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        ("reachability", "float32"),
        ("reachability", "bfloat16"),
        pytest.param("cost_value", "float32", marks=pytest.mark.slow),
    ],
)
def test_known_feasible_region_is_found(
    small_params: Callable[..., Params], kind: str, precision: str
) -> None:
    """V > 0 exactly in the states from which the cliff cannot be avoided, for every seed.

    So it is with products of bfloat16 operands in training; what is learned is read in float64.

    Oracle: backward iteration over the states. A cart of speed 3 needs six cells to stop, so ten
    of the doomed states lie before the cliff, where h itself is -1. tau is close to 1 because the
    oracle, as Eq. 7, lets the best action alone decide, which the expectile then nearly does.

    The cost value, where the cliff costs 1 a step, is 0 where it can be avoided; its threshold is
    far above the network's error and far below the least value of a doomed state, 10 * 0.9^4.
    """
    states = list(np.ndindex(CELLS, SPEEDS))
    moves = [(state, change) for state in states for change in CHANGES]
    one_hot = np.eye(len(states), dtype=np.float32)
    index = {state: number for number, state in enumerate(states)}
    data = Transitions(
        observations=np.stack([one_hot[index[state]] for state, _ in moves]),
        actions=np.array([[change] for _, change in moves], np.float32),
        next_observations=np.stack([one_hot[index[drive(*s, change)]] for s, change in moves]),
        rewards=None,
        costs=np.array([c == CELLS - 1 for (c, _), _ in moves], np.float32),
        violations=np.array([1 if c == CELLS - 1 else -1 for (c, _), _ in moves], np.float32),
        terminals=np.zeros(len(moves), bool),
    )
    params = small_params(
        feasibility=kind,
        product_precision=precision,
        cost_value_threshold=2.0,
        hidden_units=32,
        learning_rate=2e-3,
        soft_update=0.02,
        gamma=0.9,
        tau=0.98,
        value_batch_size=128,
        training_steps=2000,
        log_every_updates=2000,
    )
    trained, _ = fit(
        feasibility.init(params, data),
        feasibility.update(params),
        feasibility.learned_from(params, data),
        config=params,
        batch_size=params.value_batch_size,
        name="cliff",
    )
    trained = feasibility.at_most_zero_is_feasible(params, trained)
    doomed = doomed_states()
    assert doomed[:-1].sum() == 10
    for seed in range(params.seeds):
        v = mlp(jax.tree.map(lambda stacked, seed=seed: stacked[seed], trained.v), one_hot)
        np.testing.assert_array_equal(v.reshape(CELLS, SPEEDS) > 0, doomed)
