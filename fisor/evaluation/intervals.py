"""Means with intervals, over seeds and start states."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from fisor.envs.suites import ANY, SHARE, Bounds

LEVEL = 0.95


class Estimate(NamedTuple):
    """A mean and its 95 % interval, whose ends are NaN if the values do not determine a spread."""

    mean: float
    low: float
    high: float


class Spread(NamedTuple):
    """The variance of a mean, and the degrees of freedom that it is known with."""

    variance: float
    freedom: float


def mean_with_interval(values: np.ndarray, bounds: Bounds = ANY) -> Estimate:
    """The mean over seeds and episodes with a 95 % interval.

    The interval is for the mean over all seeds and start states that could have been drawn: both
    are random, and crossed, as every seed runs from the same starts. It is Student's, with the
    variance of two random effects (see `spread_of_mean`): where the seeds differ, three of them are
    only two degrees of freedom, and the interval is wide. It is cut to the bounds. The share of
    episodes that did something, if all or none did, has the binomial's interval (Clopper and
    Pearson, 1934) for so many independent episodes.

    Args:
        values: `[seeds, episodes]`; NaN where an episode does not count, in whole columns.
        bounds: of the values; `SHARE` says that they are 0 or 1.

    Returns:
        The estimate; NaN where no episode counts.
    """
    return average_with_interval([values], bounds)


def average_with_interval(tasks: Sequence[np.ndarray], bounds: Bounds = ANY) -> Estimate:
    """The average over tasks of their means, with an interval; tasks are independent.

    Args:
        tasks: for each task `[seeds, episodes]`, as in `mean_with_interval`.
        bounds: as there.

    Returns:
        The estimate; NaN where no episode of a task counts.
    """
    counted = [values[:, ~np.isnan(values).any(axis=0)] for values in tasks]
    if any(values.size == 0 for values in counted):
        return Estimate(np.nan, np.nan, np.nan)
    mean = float(np.mean([values.mean() for values in counted]))
    if bounds == SHARE and mean in SHARE:
        episodes = sum(values.size for values in counted)
        exact = stats.binomtest(round(mean * episodes), episodes).proportion_ci(LEVEL)
        return Estimate(mean, float(exact.low), float(exact.high))
    if all(np.ptp(values) == 0 for values in counted):
        return Estimate(mean, np.nan, np.nan)
    spreads = [spread_of_mean(values) for values in counted]
    variances = np.array([spread.variance for spread in spreads])
    freedom = _freedom(variances, np.array([spread.freedom for spread in spreads]))
    half = stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variances.sum()) / len(counted)
    return Estimate(mean, max(mean - float(half), bounds[0]), min(mean + float(half), bounds[1]))


def spread_of_mean(values: np.ndarray) -> Spread:
    """The variance of the mean of two crossed random effects without replication.

    From the mean squares of seeds, of starts and of the rest (Searle, Casella and McCulloch,
    Variance Components, 1992, section 4.3): (MS_seeds + MS_starts - MS_rest) / (S E), with
    Satterthwaite's (1946) degrees of freedom. It is at least that of each alone.

    Args:
        values: `[S, E]` seeds and episodes. Of a single seed (or episode) the other effect is left.
    """
    seeds, episodes = values.shape
    of_seeds = episodes * np.square(values.mean(axis=1) - values.mean()).sum()
    of_starts = seeds * np.square(values.mean(axis=0) - values.mean()).sum()
    of_rest = max(np.square(values - values.mean()).sum() - of_seeds - of_starts, 0.0)
    freedom = np.array([seeds - 1, episodes - 1, (seeds - 1) * (episodes - 1)])
    squares = np.array([of_seeds, of_starts, -of_rest]) / np.maximum(freedom, 1)
    both = Spread(squares.sum(), _freedom(squares, freedom))
    each = [Spread(abs(part), known) for part, known in zip(squares, freedom, strict=True)]
    variance, known = max(both, *each)
    return Spread(float(variance) / values.size, float(known))


def _freedom(parts: np.ndarray, freedom: np.ndarray) -> float:
    """Satterthwaite's degrees of freedom of a sum of estimated variances, some negative."""
    known = (freedom > 0) & (parts != 0)
    if not known.any():
        return 0.0
    return float(parts.sum() ** 2 / (parts[known] ** 2 / freedom[known]).sum())
