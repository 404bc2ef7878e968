"""How much each row of the data counts for the policy: w(s, a) of Eq. 13, and its ablations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisor.config.policy import Policy
from fisor.critics.trained import TrainedCritic
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.nn.networks import forward

Array = jax.Array

ROWS_AT_ONCE = 8192  # of the dataset, on the way through the critics


def clipped_exp(exponent: jax.Array, largest: float) -> jax.Array:
    """The exponential of `[...]`, at most `largest`; never overflows on the way."""
    return jnp.exp(jnp.minimum(exponent, jnp.log(largest)))


def policy_weight(
    reward_advantage: jax.Array,
    q_h: jax.Array,
    v_h: jax.Array,
    *,
    feasible_temperature: float,
    infeasible_temperature: float,
    feasible_clip: float,
    infeasible_clip: float,
) -> jax.Array:
    """w(s, a) of Eq. 13, exponentials clipped as in Table 5.

    Where V_h <= 0: exp(alpha_1 A_r), and 0 if Q_h > 0. Elsewhere: exp(-alpha_2 A_h),
    with A_h = Q_h - V_h.

    Args:
        reward_advantage: `[...]` A_r = Q_r - V_r.
        q_h: `[...]` feasible action value.
        v_h: `[...]` feasible value; at most 0 means feasible.
        feasible_temperature: alpha_1.
        infeasible_temperature: alpha_2.
        feasible_clip: largest weight in the feasible region.
        infeasible_clip: largest weight in the infeasible region.

    Returns:
        `[...]` weights, at least 0.
    """
    feasible = clipped_exp(feasible_temperature * reward_advantage, feasible_clip)
    infeasible = clipped_exp(-infeasible_temperature * (q_h - v_h), infeasible_clip)
    return jnp.where(v_h <= 0, jnp.where(q_h <= 0, feasible, 0.0), infeasible)


def data_weights(
    config: Policy, data: Transitions, feasibility: TrainedCritic, reward: TrainedCritic
) -> np.ndarray:
    """The weight of every transition for every seed, by `policy_weights`.

    `fisor`: w(s, a) of Eq. 13 from the finished critics. `feasible_only`: the same, but 0 in the
    infeasible region (Table 3). `unconstrained`: the clipped exp(alpha_1 A_r) everywhere, as if all
    were feasible (Figure 3). `imitation`: w_IL (Appendix D.6), Eq. 13 with 1 in place of
    exp(alpha_1 A_r), so that rewards play no part.

    Args:
        config: policy_weights, and Eq. 13's temperatures and clips.
        data: the dataset, n transitions.
        feasibility: Q_h and V_h of every seed.
        reward: Q_r and V_r of every seed.

    Returns:
        `[seeds, n]` weights.

    Raises:
        InputError: a seed's weights are all 0, so that there is nothing to learn from.
    """
    kind = config.policy_weights

    def of_seed(q_h: Any, v_h: Any, q_r: Any, v_r: Any, s: Array, a: Array) -> Array:
        feasible_value = forward(feasibility.networks.v, v_h, s)
        if kind == "imitation":
            reward_advantage = jnp.zeros_like(feasible_value)
        else:
            q_reward = forward(reward.networks.q, q_r, s, a).min(axis=0)
            reward_advantage = q_reward - forward(reward.networks.v, v_r, s)
        if kind == "unconstrained":
            exponent = config.feasible_temperature * reward_advantage
            return clipped_exp(exponent, config.feasible_clip)
        weight = policy_weight(
            reward_advantage,
            forward(feasibility.networks.q, q_h, s, a).max(axis=0),
            feasible_value,
            feasible_temperature=config.feasible_temperature,
            infeasible_temperature=config.infeasible_temperature,
            feasible_clip=config.feasible_clip,
            infeasible_clip=config.infeasible_clip,
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
