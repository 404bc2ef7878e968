"""Scores, the table of episodes, and means with intervals, on numbers worked out by hand."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from configured import section
from scipy import stats

from fisor.config.evaluation import EvaluationStage
from fisor.envs.suites import SHARE
from fisor.evaluation.intervals import mean_with_interval, spread_of_mean
from fisor.evaluation.rollouts import Rollouts
from fisor.evaluation.scores import episode_table, normalised_cost, normalised_reward


@pytest.fixture
def task() -> EvaluationStage:
    """A task whose returns lie in [-2, 6] and whose cost limit is 4."""
    return section(EvaluationStage, name="Toy", reference_returns=(-2.0, 6.0), cost_limit=4.0)


# Scores


def test_normalised_reward_by_hand(task: EvaluationStage) -> None:
    """The lowest return of the dataset scores 0, the highest 1; others lie on that line."""
    returns = np.array([-2.0, 6.0, 0.0, 10.0, -6.0])
    np.testing.assert_array_equal(normalised_reward(returns, task), [0, 1, 0.25, 1.5, -0.5])


def test_normalised_cost_by_hand(task: EvaluationStage) -> None:
    """With a limit, epsilon is 0: cost over limit, exactly."""
    np.testing.assert_array_equal(
        normalised_cost(np.array([0.0, 4.0, 10.0]), task), [0.0, 1.0, 2.5]
    )


def test_normalised_cost_without_a_limit(task: EvaluationStage) -> None:
    """At a limit of 0 DSRL's epsilon is 1: no cost scores 1, a cost of c scores c + 1."""
    strict = dataclasses.replace(task, cost_limit=0)
    np.testing.assert_array_equal(normalised_cost(np.array([0.0, 1.0, 3.5]), strict), [1, 2, 4.5])


# The table of episodes


def rollouts(observations: bool) -> Rollouts:
    """Two seeds, two episodes, four steps at most.

    Seed 0: episode 0 ends by step 2 at the goal; episode 1 violates in steps 2 and 4.
    Seed 1: episode 0 violates in its only step, by which it leaves the box; episode 1 in its last.
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
        left_box=np.array([[False, False], [True, False]]),
        observations=seen if observations else None,
        start_observations=np.array([[1, 2, 3], [4, 5, 6]], np.float32),
    )


def table(task: EvaluationStage, observations: bool = False) -> pa.Table:
    seeds, feasible = np.array([100, 101]), np.array([True, False])
    values = np.array([[-0.5, 0.25], [-0.75, 0.0]], np.float32)
    return episode_table(rollouts(observations), task, seeds, feasible, values)


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
        ("left_box", [False, False, True, False]),
        ("start_feasible_value", [-0.5, 0.25, -0.75, 0.0]),
    ],
)
def test_episode_table_by_hand(column: str, expected: list, task: EvaluationStage) -> None:
    """Each column, row by row: seeds in order, the episodes of each in order."""
    assert table(task)[column].to_pylist() == expected


def test_observations_are_kept_to_each_episodes_length(task: EvaluationStage) -> None:
    """The column holds what was seen before each step, nothing after the end; or is not there."""
    kept = table(task, observations=True)["observations"].to_pylist()
    assert [len(episode) for episode in kept] == [2, 4, 1, 4]
    # Entry (step, seed, episode) starts at 12 step + 6 seed + 3 episode.
    assert kept[0] == [[0, 1, 2], [12, 13, 14]]
    assert kept[1] == [[n, n + 1, n + 2] for n in (3, 15, 27, 39)]
    assert kept[2] == [[6, 7, 8]]
    assert kept[3] == [[n, n + 1, n + 2] for n in (9, 21, 33, 45)]
    assert "observations" not in table(task).column_names


def test_sums_are_exact_in_float64(task: EvaluationStage) -> None:
    """2^24 and four ones: a float32 sum would lose them."""
    big = rollouts(observations=False)
    rewards = np.ones((5, 2, 2), np.float32)
    rewards[0] = 2.0**24
    returns = episode_table(
        big._replace(rewards=rewards, costs=rewards), task, np.arange(2), None, None
    )
    assert returns["return"].to_pylist() == [2.0**24 + 4] * 4
    assert returns["cost"].to_pylist() == [2.0**24 + 4] * 4


# Means with intervals


def test_equal_values_tell_of_no_spread() -> None:
    """Nothing says how much another seed or start would differ: a mean, and no interval."""
    for value in (0.25, 0.1, 1.0, 7.0):
        mean, low, high = mean_with_interval(np.full((3, 20), value))
        assert mean == pytest.approx(value)
        assert np.isnan([low, high]).all()
    assert np.isnan(mean_with_interval(np.array([[0.5]]))[1:]).all()


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
def test_interval_is_a_function_of_the_values(shape: tuple[int, int]) -> None:
    """Around the plain mean; moved and stretched values have a moved, stretched interval."""
    values = np.random.default_rng(shape[1]).normal(2.0, 1.0, shape)
    estimate = mean_with_interval(values)
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.low < estimate.mean < estimate.high
    assert mean_with_interval(values) == estimate
    np.testing.assert_allclose(mean_with_interval(3 * values + 7), 3 * np.array(estimate) + 7)


def test_one_effect_alone_gives_students_interval() -> None:
    """Three seeds at 0, 1, 2 and nothing else: 1 +- 4.3027 / sqrt(3), SciPy's t interval.

    The same of three starts; and of a single seed, whose episodes are all that there is.
    """
    expected = stats.t.interval(0.95, 2, 1, 1 / np.sqrt(3))
    assert expected[1] - 1 == pytest.approx(4.3027 / np.sqrt(3), abs=1e-4)
    by_seed = np.repeat([[0.0], [1.0], [2.0]], 9, axis=1)
    for values in (by_seed, by_seed.T, by_seed[:, :1].T):
        np.testing.assert_allclose(mean_with_interval(values), [1, *expected], rtol=1e-12)


def test_two_effects_by_hand() -> None:
    """Two seeds, three starts: mean squares of 6, 6 and 2, so the variance is 10 / 6.

    Sums of squares: seed means 2 and 4 about 3 (3 * 2), start means 1, 4, 4 (2 * 6); in all 22, of
    which 4 are left.
    """
    values = np.array([[1.0, 2.0, 3.0], [1.0, 6.0, 5.0]])
    assert (values.mean(1).tolist(), values.mean(0).tolist()) == ([2, 4], [1, 4, 4])
    assert np.square(values - 3).sum() == 22
    spread = spread_of_mean(values)
    assert spread.variance == pytest.approx((6 + 6 - 2) / 6)
    assert spread.freedom == pytest.approx(10**2 / (6**2 / 1 + 6**2 / 2 + 2**2 / 2))


@pytest.mark.parametrize(
    ("seeds_vary", "starts_vary", "rest"), [(1, 0, 0.1), (0, 1, 0.1), (0, 0, 1), (0.3, 1, 1)]
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    seeds_vary: float, starts_vary: float, rest: float
) -> None:
    """Of 400 experiments of three seeds and 20 starts with a true mean of 0, 95 % contain it.

    Binomial chance alone: 91.7 % to 98.3 % at three standard errors; a bootstrap of three seeds
    that differ holds it in only 73 %. Where nothing but the rest varies the interval is too wide.
    """
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        values = seeds_vary * draw.normal(size=(3, 1)) + starts_vary * draw.normal(size=(1, 20))
        _, low, high = mean_with_interval(values + rest * draw.normal(size=(3, 20)))
        held += low <= 0 <= high
    assert 0.917 <= held / 400 <= 0.993


def test_a_share_stays_within_0_and_1() -> None:
    """One episode of 60 violates: the interval ends at 0; of 60 that did, at 1."""
    values = np.zeros((3, 20))
    values[1, 4] = 1
    estimate = mean_with_interval(values, SHARE)
    assert estimate.low == 0
    assert 1 / 60 < estimate.high < 0.2
    assert mean_with_interval(1 - values, SHARE).high == 1


def test_no_violation_in_60_episodes_is_no_proof() -> None:
    """Clopper and Pearson's bound where none of n did: 1 - 0.025^(1/n), 6.0 % of 60."""
    estimate = mean_with_interval(np.zeros((3, 20)), SHARE)
    assert estimate[:2] == (0, 0)
    assert estimate.high == pytest.approx(1 - 0.025 ** (1 / 60))
    assert mean_with_interval(np.ones((3, 20)), SHARE).low == pytest.approx(0.025 ** (1 / 60))
