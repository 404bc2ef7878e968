"""Advantages of rewards and of costs, for PPO with a Lagrangian."""

import jax
import jax.numpy as jnp

Array = jax.Array

TRACE_DECAY = 0.95  # lambda of generalised advantage estimation
# In the units of the values. Advantages of real costs spread by 0.09 to 0.3 (BallRun, CarRun);
# where no cost is seen they are the value network's error, 0.001 to 0.03, and must count for less.
LEAST_DEVIATION = 0.05


def estimate_advantages(
    rewards: Array,
    values: Array,
    next_values: Array,
    terminals: Array,
    ends: Array,
    discount: float | Array,
) -> Array:
    """Generalised advantage estimation (Schulman et al. 2016, Eq. 16), for rewards or costs.

    A_t = delta_t + gamma lambda A_{t+1} within an episode, where
    delta_t = r_t + gamma V(s_{t+1}) - V(s_t), with V(s_{t+1}) = 0 for a terminal state.

    Args:
        rewards: `[steps]`.
        values: `[steps]` values of the states before each step.
        next_values: `[steps]` values of the states after it.
        terminals: `[steps]` bool, whether the state after it ends the episode.
        ends: `[steps]` bool, whether the episode ends after it, for whatever reason.
        discount: gamma.

    Returns:
        `[steps]`.
    """
    deltas = rewards + discount * jnp.where(terminals, 0.0, next_values) - values

    def back(later: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        delta, end = step
        advantage = delta + jnp.where(end, 0.0, discount * TRACE_DECAY * later)
        return advantage, advantage

    return jax.lax.scan(back, jnp.float32(0), (deltas, ends), reverse=True)[1]


def standardised(advantages: Array) -> Array:
    """Advantages minus their mean, divided by their standard deviation or `LEAST_DEVIATION`.

    Args:
        advantages: of any shape, in the units of the values.
    """
    deviation = jnp.maximum(advantages.std(), LEAST_DEVIATION)
    return (advantages - advantages.mean()) / deviation
