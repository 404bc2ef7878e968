"""The reward values Q_r and V_r by implicit Q-learning (Eq. 15-16)."""

import numpy as np

from fisor import critics, losses
from fisor.critics import CriticRule
from fisor.params import Params
from fisor.transitions import episode_sums

init = critics.init


def rule(params: Params) -> CriticRule:
    """The twins' minimum, the expectile (Eq. 15), the Bellman target (Eq. 16)."""
    return CriticRule(
        twin=lambda q: q.min(axis=0),
        value_loss=lambda q, v: losses.reward_value_loss(q, v, params.tau),
        target=lambda batch, next_v: losses.reward_target(
            batch.rewards, next_v, batch.terminals, params.gamma
        ),
    )


def update(params: Params) -> critics.Update:
    """A function (state, batch, key) -> (state, metrics), for `fit`."""
    return critics.update(params, rule(params))


def reward_scale(rewards: np.ndarray, episode: np.ndarray, horizon_steps: int) -> float:
    """The released code's scale: horizon / (highest return - lowest return of the dataset).

    Args:
        rewards: `[n]`.
        episode: `[n]` number of each row's episode.
        horizon_steps: the task's time limit.

    Returns:
        The factor; 1 where all returns are equal.
    """
    returns = episode_sums(episode, rewards)
    spread = float(returns.max() - returns.min())
    return horizon_steps / spread if spread > 0 else 1.0
