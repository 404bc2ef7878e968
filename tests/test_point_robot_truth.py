"""The oracle of PointRobot's feasible region, against closed forms and a search of our own."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from fisor.envs.point_robot import dynamics
from fisor.envs.point_robot.suite import SUITE, PointRobotBatch
from fisor.envs.point_robot.truth import least_violation, papers_violation

DT = 0.05
HAZARDS = np.array([[0.4, -1.2], [-0.4, 1.2]])
GOAL = np.array([2.2, 2.2])


# Truth


@pytest.fixture(scope="module")
def states() -> np.ndarray:
    """2000 states over the whole box, all headings and speeds 0 to 2."""
    draw = np.random.default_rng(11)
    return draw.uniform([-3, -3, 0, -np.pi], [3, 3, 2, np.pi], (2000, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def least(states: np.ndarray) -> np.ndarray:
    return least_violation(states)


@pytest.fixture(scope="module")
def doomed(states: np.ndarray, least: np.ndarray) -> np.ndarray:
    """States that are safe and called infeasible; a richer search may free them."""
    return states[(least > 0) & (np.asarray(dynamics.violation(jnp.asarray(states))) <= 0)]


def braking_distance(speeds: np.ndarray) -> np.ndarray:
    """Distance from `speeds` to a stand: Euler's steps move at the speed before each is lost.

    With v = 0.05 n + r, 0 <= r < 0.05, they move at r, r + 0.05, ..., r + 0.05 n.
    """
    whole = np.floor(speeds / DT)
    rest = speeds - DT * whole
    return DT * ((whole + 1) * rest + DT * whole * (whole + 1) / 2)


def test_straight_at_a_hazard_the_braking_distance_decides() -> None:
    """Without turns, h* is the braking distance less the distance to the rim, if that is > 0.

    The robots stand to the right of the first hazard and head left, with nothing else in the way.
    """
    draw = np.random.default_rng(4)
    speeds = draw.uniform(0, 2, 400)
    rims = draw.uniform(0.01, 1.7, 400)
    states = np.stack([0.4 + 0.8 + rims, np.full(400, -1.2), speeds, np.full(400, np.pi)], axis=-1)
    intrusion = braking_distance(speeds) - rims
    found = least_violation(states, turns=(0.0,))
    decided = np.abs(intrusion) > 1e-4
    assert decided.mean() > 0.95
    np.testing.assert_array_equal((found > 0)[decided], (intrusion > 0)[decided])
    assert 50 < (intrusion > 0).sum() < 350  # both answers are asked for
    # Short of the centre, the stand is the deepest place.
    stands = (intrusion > 0) & (intrusion < 0.8)
    np.testing.assert_allclose(found[stands], intrusion[stands], atol=1e-4)


def test_away_from_a_hazard_the_start_decides() -> None:
    """A robot that heads straight away from the only hazard near is closest at the start."""
    states = np.array([[0.4 + 0.8 + gap, -1.2, 1.0, 0.0] for gap in (0.05, 0.3, -0.1)])
    np.testing.assert_allclose(least_violation(states, turns=(0.0,)), [-0.05, -0.3, 0.1], atol=1e-5)


def test_feasible_share_is_neither_nothing_nor_all(least: np.ndarray, doomed: np.ndarray) -> None:
    """The 2000 states hold both kinds, and safe but doomed ones, which the tests below need."""
    assert 0.7 < (least <= 0).mean() < 0.95
    assert len(doomed) > 40


def test_halving_the_segments_changes_little(
    states: np.ndarray, least: np.ndarray, doomed: np.ndarray
) -> None:
    """Turns held for 0.25 s, not 0.5 s, free less than 1 % of the states.

    What is feasible stays so, for the finer search contains the coarser one; what violates at the
    start stays infeasible. That leaves the doomed states to search.
    """
    some = slice(0, 60)
    finer = least_violation(states[some], segment_steps=5)
    assert (finer <= least[some] + 1e-5).all()
    freed = (least_violation(doomed, segment_steps=5) <= 0).sum()
    assert freed < 0.01 * len(states)


def move(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """The dynamics once more, in NumPy and float64."""
    x, y, speed, heading = states.T
    ahead = [DT * speed * np.cos(heading), DT * speed * np.sin(heading), *(DT * actions.T)]
    return np.stack([x, y, speed, heading], -1) + np.stack(ahead, -1)


def is_safe(states: np.ndarray) -> np.ndarray:
    return (np.linalg.norm(states[:, None, :2] - HAZARDS, axis=-1) >= 0.8).all(-1)


def is_over(states: np.ndarray) -> np.ndarray:
    at_goal = np.linalg.norm(states[:, :2] - GOAL, axis=-1) <= 0.3
    return at_goal | (np.abs(states[:, :2]) > 3).any(-1)


def escapes(state: np.ndarray, segments: int, segment_steps: int) -> bool:
    """Whether some drive of held accelerations and turns, then braking, violates nothing.

    Every sequence of accelerating, rolling or braking (backwards, too) and turning left, not or
    right is tried in each of `segments`; after them the robot brakes to a stand in one turn.
    """
    alive = state[None].astype(np.float64)
    choices = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=2)))

    def drive(states: np.ndarray, turns: np.ndarray, brakes: np.ndarray | None, steps: int):
        for _ in range(steps):
            pedal = np.clip(-states[:, 2] / DT, -1, 1) if brakes is None else brakes
            states = move(states, np.stack([pedal, turns], -1))
            safe = is_safe(states)
            if (safe & is_over(states)).any():
                return None
            states, turns = states[safe], turns[safe]
            brakes = None if brakes is None else brakes[safe]
        return states

    for segment in range(segments + 1):
        stopped = np.repeat(alive, 3, axis=0)
        longest = int(np.ceil(np.abs(stopped[:, 2]).max(initial=0) / DT)) + 1
        halted = drive(stopped, np.tile([-1.0, 0.0, 1.0], len(alive)), None, longest)
        if halted is None or len(halted):
            return True
        if segment < segments:
            actions = np.tile(choices, (len(alive), 1))
            alive = drive(np.repeat(alive, 9, axis=0), actions[:, 1], actions[:, 0], segment_steps)
            if alive is None:
                return True
    return False


def test_accelerating_frees_few_states(states: np.ndarray, doomed: np.ndarray) -> None:
    """An independent search that may also accelerate frees less than 1 % of the states.

    Braking fully is claimed to be part of a safest manoeuvre; only doomed states could deny it.
    """
    freed = sum(escapes(state, segments=4, segment_steps=8) for state in doomed)
    assert freed < 0.01 * len(states)


def test_independent_search_frees_what_is_feasible(states: np.ndarray, least: np.ndarray) -> None:
    """The search above can answer yes: it does for states that are feasible by a clear margin."""
    clear = states[least < -0.05][:100]
    assert all(escapes(state, segments=1, segment_steps=8) for state in clear)


def test_violation_at_the_start_bounds_both_rules(states: np.ndarray, least: np.ndarray) -> None:
    """The start is part of every manoeuvre, so neither rule falls below its violation."""
    at_start = np.asarray(dynamics.violation(jnp.asarray(states)))
    assert (least >= at_start).all()
    assert (papers_violation(states) >= at_start - 1e-6).all()


def test_papers_manoeuvre_is_among_those_searched(states: np.ndarray, least: np.ndarray) -> None:
    """With both hazards on one side, the paper's rule turns away from both with one manoeuvre.

    Our search contains it, so its least violation is no higher. (With one on each side the paper's
    two manoeuvres differ, and no order follows.)
    """
    heading = np.stack([np.cos(states[:, 3]), np.sin(states[:, 3])], -1)
    offsets = HAZARDS[None] - states[:, None, :2]
    left = heading[:, None, 0] * offsets[..., 1] - heading[:, None, 1] * offsets[..., 0]
    one_side = (np.abs(left) > 1e-3).all(-1) & (np.sign(left[:, 0]) == np.sign(left[:, 1]))
    assert one_side.sum() > 200
    assert (least[one_side] <= papers_violation(states[one_side]) + 1e-5).all()


def test_both_rules_call_nearly_the_same_states_feasible(
    states: np.ndarray, least: np.ndarray
) -> None:
    """The paper's rule, which regards one hazard at a time, differs on less than 1 %."""
    assert ((papers_violation(states) <= 0) != (least <= 0)).mean() < 0.01


def test_starts_are_judged_by_their_seeds() -> None:
    """The starts that are called feasible are those of which the search says so after a reset."""
    seeds = np.arange(200)
    batch = PointRobotBatch()
    assert SUITE.truth is not None
    feasible = SUITE.truth.feasible_starts(seeds)
    batch.reset(seeds)
    np.testing.assert_array_equal(feasible, least_violation(np.asarray(batch._states)) <= 0)
    assert 0 < feasible.sum() < 200
