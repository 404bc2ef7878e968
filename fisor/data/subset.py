"""Which episodes of a dataset are used: a share of them (Figure 10), those of high return (D.6)."""

import numpy as np

from fisor.data.transitions import episode_sums
from fisor.errors import InputError


def chosen_episodes(
    episode: np.ndarray,
    rewards: np.ndarray,
    *,
    expert_return: float | None,
    share: float,
    seed: int,
) -> np.ndarray:
    """Choose whole episodes: first by return, then a share of those at random.

    With the same seed, a smaller share is a subset of a larger one.

    Args:
        episode: `[rows]` number of each row's episode, from 0 and without gaps.
        rewards: `[rows]`; NaN counts as 0.
        expert_return: only episodes with a higher return are chosen; None: all may be.
        share: share of these episodes, in (0, 1], rounded to whole episodes and at least one.
        seed: seed of the random choice.

    Returns:
        `[episodes]` bool.

    Raises:
        InputError: no episode has so high a return.
    """
    returns = episode_sums(episode, np.nan_to_num(rewards))
    candidates = np.arange(returns.size)
    if expert_return is not None:
        candidates = np.flatnonzero(returns > expert_return)
        if candidates.size == 0:
            raise InputError(
                f"no episode has a return above {expert_return:g}, `expert_return` of "
                f"params.yaml; the highest is {returns.max():g}"
            )
    count = max(1, round(share * candidates.size))
    order = np.random.default_rng(seed).permutation(candidates)
    return np.isin(np.arange(returns.size), order[:count])
