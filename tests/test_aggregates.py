"""Aggregates over tasks and seeds, against figures by hand and an independent bootstrap."""

import numpy as np
import pytest
from scipy import stats

from fisor.evaluation import aggregates

A, B = np.array([0.0, 1.0, 2.0]), np.array([3.0, 5.0, 10.0, 100.0, 7.0])


def test_interquartile_mean_of_eight_runs_is_the_mean_of_the_middle_four() -> None:
    assert aggregates.interquartile_mean([A, B]) == pytest.approx((2 + 3 + 5 + 7) / 4)


def test_the_worst_seed_is_of_any_task() -> None:
    assert aggregates.worst_seed([A, B]) == 100


def test_profiles_count_runs_by_hand() -> None:
    levels = np.array([-1.0, 1.0, 5.0])
    np.testing.assert_allclose(aggregates.profile_above([A, B], levels), [1, 6 / 8, 3 / 8])
    np.testing.assert_allclose(aggregates.profile_below([A, B], levels), [0, 2 / 8, 5 / 8])


def test_probability_of_improvement_is_the_mean_of_mann_whitney_statistics() -> None:
    """By hand on one task, with a tie that counts half; SciPy's U on another."""
    one, other = [A, B], [np.array([1.0, 1.0]), np.array([4.0, 6.0, 200.0])]
    by_hand = (0 + 0 + 0.5 + 0.5 + 1 + 1) / 6
    by_scipy = stats.mannwhitneyu(one[1], other[1]).statistic / (5 * 3)
    expected = (by_hand + by_scipy) / 2
    assert aggregates.probability_of_improvement(one, other) == pytest.approx(expected)
    swapped = aggregates.probability_of_improvement(other, one)
    assert swapped == pytest.approx(1 - expected)


def test_the_interval_is_that_of_scipys_bootstrap() -> None:
    """Of one task, where SciPy's percentile bootstrap resamples the same way, on other draws."""
    scores = np.random.default_rng(1).normal(size=40)
    found = aggregates.estimate(aggregates.interquartile_mean, [scores])
    other = stats.bootstrap(
        (scores,),
        lambda x, axis: stats.trim_mean(x, 0.25, axis=axis),
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    spread = other.high - other.low
    assert found.low == pytest.approx(other.low, abs=0.1 * spread)
    assert found.high == pytest.approx(other.high, abs=0.1 * spread)


def test_seeds_are_drawn_within_their_task() -> None:
    """Tasks far apart: the mean of their middle runs cannot leave what each task's seeds allow."""
    low, high = np.full(4, 0.0), np.full(4, 10.0)
    found = aggregates.estimate(aggregates.interquartile_mean, [low, high])
    assert (found.mean, found.low, found.high) == (5.0, 5.0, 5.0)


def test_the_same_runs_give_the_same_interval() -> None:
    first, second = (aggregates.estimate(aggregates.worst_seed, [A, B]) for _ in range(2))
    assert first == second
