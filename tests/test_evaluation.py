"""Scores, the table of episodes, and means with intervals, on numbers worked out by hand."""

import dataclasses
import itertools

import numpy as np
import pyarrow as pa
import pytest
from project import ROOT

from fisor.evaluation import episode_table, normalised_cost, normalised_reward
from fisor.rollouts import Rollouts
from fisor.statistics import Estimate, mean_with_interval
from fisor.tasks import Task, load_task


@pytest.fixture
def task() -> Task:
    """A task whose returns lie in [-2, 6] and whose cost limit is 4."""
    known = load_task("PointRobot", ROOT / "tasks.yaml")
    return dataclasses.replace(known, name="Toy", reference_returns=(-2.0, 6.0), cost_limit=4)


# Scores


def test_normalised_reward_by_hand(task: Task) -> None:
    """The lowest return of the dataset scores 0, the highest 1; others lie on that line."""
    returns = np.array([-2.0, 6.0, 0.0, 10.0, -6.0])
    np.testing.assert_array_equal(normalised_reward(returns, task), [0, 1, 0.25, 1.5, -0.5])


def test_normalised_cost_by_hand(task: Task) -> None:
    """With a limit, epsilon is 0: cost over limit, exactly."""
    np.testing.assert_array_equal(
        normalised_cost(np.array([0.0, 4.0, 10.0]), task), [0.0, 1.0, 2.5]
    )


def test_normalised_cost_without_a_limit(task: Task) -> None:
    """At a limit of 0 DSRL's epsilon is 1: no cost scores 1, a cost of c scores c + 1."""
    strict = dataclasses.replace(task, cost_limit=0)
    np.testing.assert_array_equal(normalised_cost(np.array([0.0, 1.0, 3.5]), strict), [1, 2, 4.5])


# The table of episodes


def rollouts(observations: bool) -> Rollouts:
    """Two seeds, two episodes, four steps at most.

    Seed 0: episode 0 ends by step 2 at the goal; episode 1 violates in steps 2 and 4.
    Seed 1: episode 0 violates in its only step; episode 1 in its last.
    """
    rewards = np.zeros((4, 2, 2), np.float32)
    rewards[:2, 0, 0] = [0.5, 1.5]
    rewards[:, 0, 1] = [1.0, -2.0, 0.25, 0.75]
    rewards[0, 1, 0] = -4.0
    rewards[:, 1, 1] = 1.5
    costs = np.zeros((4, 2, 2), np.float32)
    costs[:, 0, 1] = [0, 2, 0, 1]
    costs[0, 1, 0] = 6
    costs[3, 1, 1] = 0.5
    lengths = np.array([[2, 4], [1, 4]], np.int32)
    seen = np.arange(4 * 2 * 2 * 3, dtype=np.float32).reshape(4, 2, 2, 3)
    return Rollouts(
        rewards=rewards,
        costs=costs,
        lengths=lengths,
        reached_goal=np.array([[True, False], [False, False]]),
        observations=seen if observations else None,
        start_observations=np.array([[1, 2, 3], [4, 5, 6]], np.float32),
    )


def table(task: Task, observations: bool = False) -> pa.Table:
    seeds, feasible = np.array([100, 101]), np.array([True, False])
    return episode_table(rollouts(observations), task, "FISOR", seeds, feasible)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("task", ["Toy"] * 4),
        ("method", ["FISOR"] * 4),
        ("seed", [0, 0, 1, 1]),
        ("episode", [0, 1, 0, 1]),
        ("reset_seed", [100, 101, 100, 101]),
        ("start", [[1, 2, 3], [4, 5, 6], [1, 2, 3], [4, 5, 6]]),
        ("return", [2.0, 0.0, -4.0, 6.0]),
        ("cost", [0.0, 3.0, 6.0, 0.5]),
        ("normalised_reward", [0.5, 0.25, -0.25, 1.0]),
        ("normalised_cost", [0.0, 0.75, 1.5, 0.125]),
        ("length", [2, 4, 1, 4]),
        ("violating_steps", [0, 2, 1, 1]),
        ("first_violation", [None, 2, 1, 4]),
        ("truly_feasible", [True, False, True, False]),
        ("reached_goal", [True, False, False, False]),
    ],
)
def test_episode_table_by_hand(column: str, expected: list, task: Task) -> None:
    """Each column, row by row: seeds in order, the episodes of each in order."""
    assert table(task)[column].to_pylist() == expected


def test_observations_are_kept_to_each_episodes_length(task: Task) -> None:
    """The column holds what was seen before each step, nothing after the end; or is not there."""
    kept = table(task, observations=True)["observations"].to_pylist()
    assert [len(episode) for episode in kept] == [2, 4, 1, 4]
    # Entry (step, seed, episode) starts at 12 step + 6 seed + 3 episode.
    assert kept[0] == [[0, 1, 2], [12, 13, 14]]
    assert kept[1] == [[n, n + 1, n + 2] for n in (3, 15, 27, 39)]
    assert kept[2] == [[6, 7, 8]]
    assert kept[3] == [[n, n + 1, n + 2] for n in (9, 21, 33, 45)]
    assert "observations" not in table(task).column_names


def test_sums_are_exact_in_float64(task: Task) -> None:
    """2^24 and four ones: a float32 sum would lose them."""
    big = rollouts(observations=False)
    rewards = np.ones((5, 2, 2), np.float32)
    rewards[0] = 2.0**24
    returns = episode_table(
        big._replace(rewards=rewards, costs=rewards), task, "FISOR", np.arange(2), np.ones(2, bool)
    )
    assert returns["return"].to_pylist() == [2.0**24 + 4] * 4
    assert returns["cost"].to_pylist() == [2.0**24 + 4] * 4


# Means with intervals


def test_constant_values_have_an_interval_of_no_width() -> None:
    """Whatever is drawn, the mean of equal values is that value."""
    assert mean_with_interval(np.full((3, 20), 0.25)) == Estimate(0.25, 0.25, 0.25)


def test_columns_with_nan_do_not_count() -> None:
    """An episode that does not count leaves the estimate as if it had never been there."""
    values = np.random.default_rng(0).normal(size=(3, 12))
    holes = np.insert(values, [0, 5, 12], np.nan, axis=1)
    estimate = mean_with_interval(holes)
    assert estimate == mean_with_interval(values)
    assert estimate.mean == pytest.approx(values.mean())


def test_nothing_that_counts_gives_nan() -> None:
    """Where no episode counts there is no mean, and no warning either."""
    assert np.isnan(mean_with_interval(np.full((3, 4), np.nan))).all()


@pytest.mark.parametrize("shape", [(1, 5), (3, 20), (3, 100), (10, 2)])
def test_mean_lies_inside_the_interval(shape: tuple[int, int]) -> None:
    """The mean is the plain one, and the interval lies around it, inside the values' range."""
    values = np.random.default_rng(shape[1]).normal(2.0, 1.0, shape)
    estimate = mean_with_interval(values)
    assert estimate.mean == pytest.approx(values.mean())
    assert values.min() <= estimate.low < estimate.mean < estimate.high <= values.max()


def test_interval_is_a_function_of_the_values() -> None:
    """The same values give the same interval; moved and stretched ones a moved, stretched one."""
    values = np.random.default_rng(5).normal(size=(3, 20))
    estimate = mean_with_interval(values)
    assert mean_with_interval(values) == estimate
    np.testing.assert_allclose(mean_with_interval(3 * values + 7), 3 * np.array(estimate) + 7)


def all_draws(values: np.ndarray) -> np.ndarray:
    """The pigeonhole bootstrap without chance: the mean of each possible draw, equally likely."""
    seeds, episodes = values.shape
    rows = itertools.product(range(seeds), repeat=seeds)
    columns = list(itertools.product(range(episodes), repeat=episodes))
    by_row = [values[list(row)].mean(axis=0) for row in rows]
    return np.array([mean[list(column)].mean() for mean in by_row for column in columns])


def test_interval_agrees_with_all_possible_draws() -> None:
    """Two seeds and four episodes have 4 * 256 draws; their exact quantiles are met.

    Of 2000 resamples the share below a quantile has a standard error of sqrt(0.025 * 0.975 / 2000)
    = 0.35 %; four of them allow for 1.1 % to 3.9 % at the 2.5 % end.
    """
    values = np.array([[0.0, 1.0, 5.0, 2.5], [0.7, 2.2, 4.1, 3.3]])
    draws = all_draws(values)
    assert len(draws) == 4 * 256
    estimate = mean_with_interval(values)
    assert estimate.mean == pytest.approx(draws.mean())
    lowest, low = np.quantile(draws, [0.011, 0.039])
    high, highest = np.quantile(draws, [0.961, 0.989])
    assert lowest <= estimate.low <= low
    assert high <= estimate.high <= highest


def test_interval_regards_seeds_and_episodes() -> None:
    """Spread among seeds alone, or among episodes alone, widens it as a bootstrap of that axis.

    Three seeds at 0, 1, 2: a draw of all zeros (or all twos) has probability 1/27 > 2.5 %, so the
    ends are 0 and 2, exactly. The same holds for three episodes.
    """
    by_seed = np.repeat([[0.0], [1.0], [2.0]], 9, axis=1)
    by_episode = np.repeat([[0.0, 1.0, 2.0]], 9, axis=0)
    for values in (by_seed, by_episode):
        np.testing.assert_allclose(mean_with_interval(values), [1.0, 0.0, 2.0], atol=1e-12)


def test_single_seed_gives_the_interval_over_episodes() -> None:
    """Eighty values of 0 or 1, half each: 1/2 +- 1.96 * 0.5 / sqrt(80), to within 15 % of it."""
    estimate = mean_with_interval(np.tile([0.0, 1.0], 40)[None])
    half_width = 1.96 * 0.5 / np.sqrt(80)
    assert estimate.low == pytest.approx(0.5 - half_width, abs=0.15 * half_width)
    assert estimate.high == pytest.approx(0.5 + half_width, abs=0.15 * half_width)
