"""Behaviour data of PointRobot: who collects it, and what its rows say."""

import itertools
from collections.abc import Iterator

import jax
import numpy as np
import pytest

from fisor.collect import point_robot as collection
from fisor.envs.point_robot.truth import brake_and_turn

HAZARDS = np.array([[0.4, -1.2], [-0.4, 1.2]])
GOAL = np.array([2.2, 2.2])


# Collection


def test_competent_policy_is_competent() -> None:
    """Where some braking manoeuvre keeps clear of hazards and edges, >= 90 % arrive unharmed."""
    states, _, result, over = collection.competent_batch(jax.random.key(3))
    states, over = np.asarray(states), np.asarray(over)
    turns = np.array(list(itertools.product((-1, 0, 1), repeat=4)), np.float32)
    manoeuvres = np.repeat(turns, 10, axis=1)
    worst, edge = jax.lax.map(lambda turns: brake_and_turn(states[0], turns), manoeuvres)
    avoidable = np.asarray((worst <= 0) & (edge < 3)).any(axis=0)
    assert avoidable.sum() > 300
    unharmed = ~((np.asarray(result.cost) > 0) & ~over).any(axis=0)
    arrived = (np.asarray(result.reached_goal) & ~over).any(axis=0)
    assert (unharmed & arrived)[avoidable].mean() >= 0.9


def test_competent_policy_drives_backwards_as_forwards() -> None:
    """The dynamics are symmetric, and so is the driver: reversed robot, reversed acceleration."""
    states = np.random.default_rng(0).uniform([-3, -3, -2, -3], [3, 3, 2, 3], (200, 4))
    reversed_states = states * [1, 1, -1, 1] + [0, 0, 0, np.pi]
    style = collection.Style(*np.full((3, 200), [[0.9], [1.5], [3.0]], np.float32))
    wanted, mirrored = (
        np.asarray(collection.wanted_action(s.astype(np.float32), style))
        for s in (states, reversed_states)
    )
    np.testing.assert_allclose(mirrored, wanted * [-1, 1], atol=1e-4)
    # It stands, the goal straight behind it and nothing between: it backs.
    behind = np.array([[2.2, 1.0, 0.0, -np.pi / 2]], np.float32)
    backing = collection.wanted_action(behind, collection.Style(*np.ones((3, 1), np.float32)))
    np.testing.assert_allclose(backing, [[-1.0, 0.0]], atol=1e-5)


@pytest.fixture(scope="module")
def small_batches() -> Iterator[None]:
    """Batches of 8 episodes, so that a collection of 3000 transitions takes several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collection, "BATCH_EPISODES", 8)
        for name in ("competent_batch", "random_batch"):
            uncompiled = getattr(collection, name).__wrapped__
            # A function of its own: the compiled one keeps the size it was traced with.
            patch.setattr(collection, name, jax.jit(lambda key, f=uncompiled: f(key)))
        yield


@pytest.fixture(scope="module")
def collected(small_batches: None) -> collection.Episodes:
    return collection.collect(3001, seed=0)


def test_collection_has_the_asked_number(collected: collection.Episodes) -> None:
    """3001 rows of each field, of the shapes that the environment has, all finite."""
    shapes = [field.shape for field in collected]
    assert shapes == [(3001, 11), (3001, 2), (3001, 11), *[(3001,)] * 5]
    assert all(np.isfinite(field).all() for field in collected)
    assert (np.abs(collected.actions) <= 1).all()


def test_halves_are_random_and_competent(collected: collection.Episodes) -> None:
    """An episode ends with row 1499, the random half; the other half earns far more by step."""
    assert (collected.terminals | collected.timeouts)[1499]
    random_half, competent_half = collected.rewards[:1500], collected.rewards[1500:]
    assert competent_half.mean() > random_half.mean() + 0.005
    # A random action is held for some ten steps; a competent one has fresh noise at each.
    held = (collected.actions[1:] == collected.actions[:-1]).all(axis=1)
    assert held[:1499].mean() > 0.8
    assert held[1500:].mean() < 0.5


def test_every_episode_ends_one_way(collected: collection.Episodes) -> None:
    """Rows that end an episode are terminal or timed out, never both; terminal is goal or edge."""
    assert not (collected.terminals & collected.timeouts).any()
    assert (collected.terminals | collected.timeouts)[-1]
    after = collected.next_observations[:, :2]
    at_goal = np.linalg.norm(after - GOAL, axis=-1) <= 0.3
    outside = (np.abs(after) > 3).any(axis=-1)
    clear = np.abs(np.linalg.norm(after - GOAL, axis=-1) - 0.3) > 1e-5
    np.testing.assert_array_equal(collected.terminals[clear], (at_goal | outside)[clear])


def test_episodes_last_no_longer_than_the_limit(collected: collection.Episodes) -> None:
    """A timeout is an episode of 300 steps, or the cut end of one of the halves."""
    ends = np.flatnonzero(collected.terminals | collected.timeouts)
    lengths = np.diff(ends, prepend=-1)
    assert lengths.max() <= 300
    short = ends[collected.timeouts[ends] & (lengths < 300)]
    assert set(short.tolist()) <= {1499, 3000}
    assert (collected.terminals[ends] | (lengths == 300) | np.isin(ends, [1499, 3000])).all()


def test_next_observation_is_the_next_rows_observation(collected: collection.Episodes) -> None:
    """Inside an episode a row leads to the next one; after its end another start follows."""
    inside = ~(collected.terminals | collected.timeouts)[:-1]
    following, after = collected.observations[1:], collected.next_observations[:-1]
    np.testing.assert_array_equal(after[inside], following[inside])
    assert inside.sum() > 2500
    assert (np.abs(after[~inside] - following[~inside]).max(axis=1) > 1e-3).all()


def test_rewards_costs_and_violations_follow_from_the_observations(
    collected: collection.Episodes,
) -> None:
    """The dense h is of the state before the step, the cost of the one after it."""

    def h(observations: np.ndarray) -> np.ndarray:
        away = np.linalg.norm(observations[:, None, :2] - HAZARDS, axis=-1)
        return 0.8 - away.min(axis=-1)

    def distance(observations: np.ndarray) -> np.ndarray:
        return np.linalg.norm(observations[:, :2] - GOAL, axis=-1)

    before, after = collected.observations, collected.next_observations
    np.testing.assert_allclose(collected.violations, h(before), atol=1e-5)
    np.testing.assert_allclose(collected.costs, np.maximum(h(after), 0), atol=1e-5)
    bonus = collected.terminals & (np.abs(after[:, :2]) <= 3).all(axis=-1)
    gained = distance(before) - distance(after)
    np.testing.assert_allclose(collected.rewards, gained + bonus, atol=1e-5)
    assert bonus.any()
    assert (collected.costs > 0).any()


def test_seed_decides_the_collection(collected: collection.Episodes) -> None:
    """The same seed gives the same arrays, another seed others."""
    again, other = collection.collect(3001, seed=0), collection.collect(3001, seed=1)
    for first, second in zip(collected, again, strict=True):
        np.testing.assert_array_equal(first, second, strict=True)
    assert not np.array_equal(collected.observations, other.observations)
    assert not np.array_equal(collected.actions[:1500], other.actions[:1500])
