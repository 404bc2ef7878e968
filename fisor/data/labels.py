"""The violation h of each transition, and how much of a dataset violates."""

from typing import NamedTuple

import numpy as np

from fisor.data.transitions import episode_sums


class Episodes(NamedTuple):
    """Totals of each episode of a dataset; arrays `[episodes]`.

    Attributes:
        returns: sum of the rewards as they are in the dataset.
        costs: sum of the costs.
        steps: number of transitions.
        violating_steps: transitions with h > 0.
    """

    returns: np.ndarray
    costs: np.ndarray
    steps: np.ndarray
    violating_steps: np.ndarray


class LabelSummary(NamedTuple):
    """A data card: the dataset's size, totals of its episodes, and how much of it violates.

    Attributes:
        transitions: number of rows.
        violating_transitions_share: share of rows with h > 0.
        episodes: number of episodes.
        safe_episodes: episodes without a row of h > 0.
        episodes_within_cost_limit: episodes whose cost is at most the task's limit.
        lowest_return: lowest return of an episode.
        highest_return: highest return of an episode.
        lowest_cost: lowest cost of an episode.
        highest_cost: highest cost of an episode.
    """

    transitions: int
    violating_transitions_share: float
    episodes: int
    safe_episodes: int
    episodes_within_cost_limit: int
    lowest_return: float
    highest_return: float
    lowest_cost: float
    highest_cost: float


def violation_from_cost(costs: np.ndarray, M: float) -> np.ndarray:
    """The sparse h (Appendix D.3): -1 where the cost is 0, else M.

    Args:
        costs: `[n]` cost of each transition, at least 0.
        M: the violation's scale, above 0.

    Returns:
        `[n]` float32.
    """
    return np.where(costs > 0, np.float32(M), np.float32(-1.0))


def violation_with_floor(violations: np.ndarray, floor: float | None) -> np.ndarray:
    """A dense h that is nowhere below a floor: max(h, floor), which is positive where h is.

    Args:
        violations: `[n]` h, float32.
        floor: below 0, in units of h; None leaves h as it is.

    Returns:
        `[n]` float32.
    """
    return violations if floor is None else np.maximum(violations, np.float32(floor))


def per_episode(
    violations: np.ndarray, rewards: np.ndarray, costs: np.ndarray, episode: np.ndarray
) -> Episodes:
    """Sum over each episode.

    Args:
        violations: `[n]` h.
        rewards: `[n]` unscaled.
        costs: `[n]` at least 0.
        episode: `[n]` number of each row's episode, from 0.
    """
    return Episodes(
        returns=episode_sums(episode, rewards),
        costs=episode_sums(episode, costs),
        steps=np.bincount(episode),
        violating_steps=np.bincount(episode, weights=violations > 0).astype(np.int64),
    )


def summarise(episodes: Episodes, cost_limit: float) -> LabelSummary:
    """Make the data card of a dataset from its episodes.

    Args:
        episodes: from `per_episode`.
        cost_limit: the task's limit of the cost per episode.
    """
    transitions = int(episodes.steps.sum())
    return LabelSummary(
        transitions=transitions,
        violating_transitions_share=int(episodes.violating_steps.sum()) / transitions,
        episodes=episodes.steps.size,
        safe_episodes=int((episodes.violating_steps == 0).sum()),
        episodes_within_cost_limit=int((episodes.costs <= cost_limit).sum()),
        lowest_return=float(episodes.returns.min()),
        highest_return=float(episodes.returns.max()),
        lowest_cost=float(episodes.costs.min()),
        highest_cost=float(episodes.costs.max()),
    )
