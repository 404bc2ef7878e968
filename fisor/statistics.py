"""Means with intervals, over seeds and episodes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def mean_with_interval(values: np.ndarray) -> Estimate:
    """The mean over seeds and episodes with a 95 % bootstrap interval.

    Seeds and start states are crossed (every seed runs from the same starts), so both are drawn
    with replacement and each draw is the mean over the drawn rows and columns: the pigeonhole
    bootstrap (Owen, 2007), which is conservative. With few seeds the interval can still only show
    the spread among those few.

    Args:
        values: `[seeds, episodes]`; NaN where an episode does not count, in whole columns.

    Returns:
        The estimate; NaN where no episode counts.
    """
    return average_with_interval([values])


def average_with_interval(tasks: Sequence[np.ndarray]) -> Estimate:
    """The average over tasks of their means, with an interval; each task is drawn by itself.

    Args:
        tasks: for each task `[seeds, episodes]`, as in `mean_with_interval`.

    Returns:
        The estimate; NaN where no episode of a task counts.
    """
    generator = np.random.default_rng(0)  # the interval is a pure function of the values
    average, resampled = 0.0, np.zeros(RESAMPLES)
    for values in tasks:
        values = values[:, ~np.isnan(values).any(axis=0)]
        seeds, episodes = values.shape
        if episodes == 0:
            return Estimate(np.nan, np.nan, np.nan)
        rows = generator.integers(0, seeds, (RESAMPLES, seeds))
        columns = generator.integers(0, episodes, (RESAMPLES, episodes))
        means = [values[r][:, c].mean() for r, c in zip(rows, columns, strict=True)]
        average += float(values.mean()) / len(tasks)
        resampled += np.array(means) / len(tasks)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(average, float(low), float(high))
