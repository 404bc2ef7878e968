"""How much each row of the data counts for the policy: w(s, a) of Eq. 13, and its ablations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisor import losses
from fisor.critics import TrainedCritic
from fisor.errors import InputError
from fisor.networks import forward
from fisor.params import Params
from fisor.transitions import Transitions

Array = jax.Array

ROWS_AT_ONCE = 8192  # of the dataset, on the way through the critics


def data_weights(
    params: Params, data: Transitions, feasibility: TrainedCritic, reward: TrainedCritic
) -> np.ndarray:
    """The weight of every transition for every seed, by `policy_weights`.

    `fisor`: w(s, a) of Eq. 13 from the finished critics. `feasible_only`: the same, but 0 in the
    infeasible region (Table 3). `unconstrained`: the clipped exp(alpha_1 A_r) everywhere, as if all
    were feasible (Figure 3). `imitation`: w_IL (Appendix D.6), Eq. 13 with 1 in place of
    exp(alpha_1 A_r), so that rewards play no part. `ones`: 1, behaviour cloning.

    Args:
        params: policy_weights, and Eq. 13's temperatures and clips.
        data: the dataset, n transitions.
        feasibility: Q_h and V_h of every seed.
        reward: Q_r and V_r of every seed.

    Returns:
        `[seeds, n]` weights.

    Raises:
        InputError: a seed's weights are all 0, so that there is nothing to learn from.
    """
    if params.policy_weights == "ones":
        return np.ones((params.seeds, data.observations.shape[0]), np.float32)

    kind = params.policy_weights

    def of_seed(q_h: Any, v_h: Any, q_r: Any, v_r: Any, s: Array, a: Array) -> Array:
        feasible_value = forward(feasibility.networks.v, v_h, s)
        if kind == "imitation":
            reward_advantage = jnp.zeros_like(feasible_value)
        else:
            q_reward = forward(reward.networks.q, q_r, s, a).min(axis=0)
            reward_advantage = q_reward - forward(reward.networks.v, v_r, s)
        if kind == "unconstrained":
            exponent = params.feasible_temperature * reward_advantage
            return losses.clipped_exp(exponent, params.feasible_clip)
        weight = losses.policy_weight(
            reward_advantage,
            forward(feasibility.networks.q, q_h, s, a).max(axis=0),
            feasible_value,
            feasible_temperature=params.feasible_temperature,
            infeasible_temperature=params.infeasible_temperature,
            feasible_clip=params.feasible_clip,
            infeasible_clip=params.infeasible_clip,
        )
        return jnp.where(feasible_value <= 0, weight, 0.0) if kind == "feasible_only" else weight

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
    weights = np.concatenate(blocks, axis=1)
    if (idle := np.flatnonzero(weights.max(axis=1) == 0)).size:
        raise InputError(
            f"policy_weights: {kind} gives every row the weight 0 for seed {idle[0]}: its critics "
            "call no row feasible. Train them for longer, or weigh infeasible rows, too"
        )
    return weights
