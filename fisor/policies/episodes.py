"""The best rows by what came of them: advantages over the rest of an episode (not in the paper)."""

import jax
import jax.numpy as jnp
import numpy as np

from fisor.critics.losses import bellman_target
from fisor.critics.trained import TrainedCritic
from fisor.data.transitions import Transitions

Array = jax.Array


def returns_to_go(
    rewards: Array, next_values: Array, terminals: Array, last: Array, gamma: float
) -> Array:
    """The discounted rewards from each row to the end of its episode.

    Args:
        rewards: `[n]`.
        next_values: `[n]` V_r of the next states, which stands for what follows an episode that was
            cut; read in last rows alone.
        terminals: `[n]` bool, whether nothing follows.
        last: `[n]` bool, whether a row is the last one of its episode.
        gamma: discount, in (0, 1).

    Returns:
        `[n]` returns.
    """

    def earlier(rest: Array, row: tuple[Array, ...]) -> tuple[Array, Array]:
        reward, next_value, terminal, ends = row
        following = jnp.where(ends, next_value, rest)
        total = bellman_target(reward, following, terminal, gamma)
        return total, total

    rows = rewards, next_values, terminals, last
    _, returns = jax.lax.scan(earlier, jnp.zeros(()), rows, reverse=True)
    return returns


def episode_advantages(
    values: np.ndarray, data: Transitions, episode: np.ndarray, reward: TrainedCritic, gamma: float
) -> np.ndarray:
    """The return of the rest of the episode minus V_r(s) (Peng et al. 2019), in the critic's units.

    Args:
        values: `[seeds, n]` V_r of the observations.
        data: the dataset, n transitions, with rewards as recorded.
        episode: `[n]` the episode of each row, whose rows follow one another.
        reward: Q_r and V_r of every seed.
        gamma: discount, in (0, 1).

    Returns:
        `[seeds, n]`.
    """
    last = np.diff(episode, append=-1) != 0
    next_values = np.zeros_like(values)
    if (cut := np.flatnonzero(last & ~np.asarray(data.terminals))).size:
        next_values[:, cut] = reward.values(data.next_observations[cut])
    rewards = data.rewards * np.float32(reward.config["reward_scale"])
    of_seeds = jax.jit(jax.vmap(returns_to_go, in_axes=(None, 0, None, None, None)))
    return np.asarray(of_seeds(rewards, next_values, data.terminals, last, gamma)) - values


def best(advantages: np.ndarray, rows: np.ndarray, share: float) -> np.ndarray:
    """Which of some rows are among the best: at least the advantage that `share` of them have.

    Args:
        advantages: `[n]`.
        rows: `[n]` bool.
        share: above 0, at most 1.

    Returns:
        `[n]` bool, nowhere true outside of `rows`.
    """
    if not rows.any():
        return rows
    return rows & (advantages >= np.quantile(advantages[rows], 1 - share))
