"""Aggregates over tasks and training seeds, with bootstrap intervals (Agarwal et al., 2021).

A run is a training seed on a task; its score is the mean over its episodes. The definitions are
those of "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (NeurIPS 2021). Its
library, rliable 1.2, cannot be imported with current releases of its dependencies.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from fisor.evaluation.intervals import LEVEL, Estimate

RESAMPLES = 2000
QUARTER = 0.25

Runs = Sequence[np.ndarray]  # for each task `[..., seeds]`


def interquartile_mean(tasks: Runs) -> np.ndarray:
    """The mean of the middle half of all runs, `[...]`; fewer outliers, unlike the median all data.

    Args:
        tasks: for each task the runs' scores `[..., seeds]`.
    """
    return np.asarray(stats.trim_mean(np.concatenate(tasks, axis=-1), QUARTER, axis=-1))


def worst_seed(tasks: Runs) -> np.ndarray:
    """The largest score of any run, `[...]`: of normalised costs, the worst seed's."""
    return np.concatenate(tasks, axis=-1).max(axis=-1)


def profile_above(tasks: Runs, levels: np.ndarray) -> np.ndarray:
    """The share of runs whose score is above each level, `[..., levels]`: of rewards.

    Args:
        tasks: for each task the runs' scores `[..., seeds]`.
        levels: `[levels]`.
    """
    return (np.concatenate(tasks, axis=-1)[..., None] > levels).mean(axis=-2)


def profile_below(tasks: Runs, levels: np.ndarray) -> np.ndarray:
    """The share of runs whose score is at most each level, `[..., levels]`: of costs."""
    return (np.concatenate(tasks, axis=-1)[..., None] <= levels).mean(axis=-2)


def probability_of_improvement(tasks: Runs, others: Runs) -> np.ndarray:
    """How likely a run of one method scores above a run of another on the same task, `[...]`.

    The mean over tasks of the Mann-Whitney statistic; equal scores count half.

    Args:
        tasks: for each task the runs' scores `[..., seeds]`.
        others: those of the other method, on the same tasks.
    """
    shares = []
    for one, other in zip(tasks, others, strict=True):
        pairs = one[..., :, None] - other[..., None, :]
        shares.append(((np.sign(pairs) + 1) / 2).mean(axis=(-2, -1)))
    return np.mean(shares, axis=0)


def with_interval(
    statistic: Callable[..., np.ndarray], *methods: Runs, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A statistic of runs with the 95 % interval of the stratified percentile bootstrap.

    Seeds are drawn with replacement within each task, so the interval is for other seeds on the
    same tasks. Of three seeds the bootstrap knows little: its intervals are too narrow.

    Args:
        statistic: of each method's runs; maps scores `[..., seeds]` to `[...]` or `[..., levels]`.
        methods: for each method, for each task the scores `[seeds]`.
        seed: of the resampling.

    Returns:
        The statistic, and the ends of its interval.
    """
    random = np.random.default_rng(seed)
    drawn = []
    for tasks in methods:
        rows = [random.integers(t.size, size=(RESAMPLES, t.size)) for t in tasks]
        drawn.append([task[row] for task, row in zip(tasks, rows, strict=True)])
    low, high = np.quantile(statistic(*drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return statistic(*methods), low, high


def estimate(statistic: Callable[..., np.ndarray], *methods: Runs) -> Estimate:
    """The same of a statistic that is one number."""
    return Estimate(*(float(part) for part in with_interval(statistic, *methods)))
