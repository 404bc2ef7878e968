"""How much each row of the data counts for the policy: w(s, a) of Eq. 13, or 1."""

from typing import Any

import jax
import numpy as np

from fisor import losses
from fisor.critics import TrainedCritic
from fisor.networks import forward
from fisor.params import Params
from fisor.transitions import Transitions

Array = jax.Array

ROWS_AT_ONCE = 8192  # of the dataset, on the way through the critics


def data_weights(
    params: Params, data: Transitions, feasibility: TrainedCritic, reward: TrainedCritic
) -> np.ndarray:
    """The weight of every transition for every seed, by `policy_weights`.

    `fisor`: w(s, a) of Eq. 13 from the finished critics. `ones`: 1, behaviour cloning.

    Args:
        params: policy_weights, and Eq. 13's temperatures and clips.
        data: the dataset, n transitions.
        feasibility: Q_h and V_h of every seed.
        reward: Q_r and V_r of every seed.

    Returns:
        `[seeds, n]` weights.
    """
    if params.policy_weights == "ones":
        return np.ones((params.seeds, data.observations.shape[0]), np.float32)

    def of_seed(q_h: Any, v_h: Any, q_r: Any, v_r: Any, s: Array, a: Array) -> Array:
        q_reward = forward(reward.networks.q, q_r, s, a).min(axis=0)
        return losses.policy_weight(
            q_reward - forward(reward.networks.v, v_r, s),
            forward(feasibility.networks.q, q_h, s, a).max(axis=0),
            forward(feasibility.networks.v, v_h, s),
            feasible_temperature=params.feasible_temperature,
            infeasible_temperature=params.infeasible_temperature,
            feasible_clip=params.feasible_clip,
            infeasible_clip=params.infeasible_clip,
        )

    every_seed = jax.jit(jax.vmap(of_seed, in_axes=(0, 0, 0, 0, None, None)))
    critic_params = (feasibility.q, feasibility.v, reward.q, reward.v)
    blocks = [
        np.asarray(
            every_seed(
                *critic_params,
                data.observations[first : first + ROWS_AT_ONCE],
                data.actions[first : first + ROWS_AT_ONCE],
            )
        )
        for first in range(0, data.observations.shape[0], ROWS_AT_ONCE)
    ]
    return np.concatenate(blocks, axis=1)
