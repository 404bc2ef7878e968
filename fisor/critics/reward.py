"""The reward values Q_r and V_r by implicit Q-learning (Eq. 15-16)."""

import jax
import numpy as np

from fisor.config.critics import Critic
from fisor.critics import pair
from fisor.critics.losses import bellman_target, expectile_loss
from fisor.critics.pair import CriticRule
from fisor.data.transitions import Transitions, episode_sums

init, finished = pair.init, pair.finished


def reward_value_loss(q_r: jax.Array, v_r: jax.Array, tau: float) -> jax.Array:
    """L^tau(Q_r - V_r) (Eq. 15): pulls V_r to the upper tau-expectile of Q_r."""
    return expectile_loss(q_r - v_r, tau)


def rule(config: Critic) -> CriticRule:
    """The twins' minimum, the expectile (Eq. 15), the Bellman target (Eq. 16)."""
    return CriticRule(
        twin=lambda q: q.min(axis=0),
        value_loss=lambda q, v: reward_value_loss(q, v, config.tau),
        target=lambda batch, next_v: bellman_target(
            batch.rewards, next_v, batch.terminals, config.gamma
        ),
    )


def learned_from(data: Transitions) -> Transitions:
    """Only the fields that `update` reads; others would use the device's memory in vain."""
    return data.only("observations", "actions", "next_observations", "rewards", "terminals")


def update(config: Critic) -> pair.Update:
    """A function (state, batch, key) -> (state, metrics), for `fit`."""
    return pair.update(config, rule(config))


def reward_scale(rewards: np.ndarray, episode: np.ndarray, horizon_steps: int) -> float:
    """The released code's scale: horizon / (highest return - lowest return of the dataset).

    Args:
        rewards: `[n]` unscaled rewards.
        episode: `[n]` number of each row's episode.
        horizon_steps: the task's time limit.

    Returns:
        The factor; 1 where all returns are equal.
    """
    returns = episode_sums(episode, rewards)
    spread = float(returns.max() - returns.min())
    return horizon_steps / spread if spread > 0 else 1.0
