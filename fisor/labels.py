"""The violation h of each transition, and how much of a dataset violates."""

from typing import NamedTuple

import numpy as np

from fisor.transitions import episode_sums


class LabelSummary(NamedTuple):
    """How much of a dataset violates the constraint.

    Attributes:
        transitions: number of rows.
        violating_transitions_share: share of rows with h > 0.
        episodes: number of episodes.
        safe_episodes: episodes without a row of h > 0.
    """

    transitions: int
    violating_transitions_share: float
    episodes: int
    safe_episodes: int


def violation_from_cost(costs: np.ndarray, M: float) -> np.ndarray:
    """The sparse h (Appendix D.3): -1 where the cost is 0, else M.

    Args:
        costs: `[n]` cost of each transition, at least 0.
        M: the violation's scale, above 0.

    Returns:
        `[n]` float32.
    """
    return np.where(costs > 0, np.float32(M), np.float32(-1.0))


def summarise(violations: np.ndarray, episode: np.ndarray) -> LabelSummary:
    """Count violating rows and safe episodes.

    Args:
        violations: `[n]` h.
        episode: `[n]` number of each row's episode, from 0.
    """
    violating = violations > 0
    per_episode = episode_sums(episode, violating)
    return LabelSummary(
        transitions=int(violating.size),
        violating_transitions_share=float(violating.mean()),
        episodes=int(per_episode.size),
        safe_episodes=int((per_episode == 0).sum()),
    )
