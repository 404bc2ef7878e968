"""Losses and targets of the paper, each of one transition; callers vmap or broadcast."""

import jax
import jax.numpy as jnp


def expectile_loss(difference: jax.Array, tau: float) -> jax.Array:
    """L^tau(u) = |tau - I(u < 0)| u^2 (Eq. 15).

    With u = Q - V and tau above 0.5, V goes to an upper expectile of Q. The reversed loss of Eq. 8,
    |tau - I(u > 0)| u^2, is this one of -u = V - Q: V goes to the lower expectile.

    Args:
        difference: `[...]` u.
        tau: the expectile, in (0, 1).

    Returns:
        `[...]` the loss.
    """
    return jnp.where(difference < 0, 1 - tau, tau) * difference**2


def feasible_value_loss(q_h: jax.Array, v_h: jax.Array, tau: float) -> jax.Array:
    """L_rev^tau(Q_h - V_h) (Eq. 8): pulls V_h to the lower tau-expectile of Q_h."""
    return expectile_loss(v_h - q_h, tau)


def reward_value_loss(q_r: jax.Array, v_r: jax.Array, tau: float) -> jax.Array:
    """L^tau(Q_r - V_r) (Eq. 15): pulls V_r to the upper tau-expectile of Q_r."""
    return expectile_loss(q_r - v_r, tau)


def feasible_target(
    violation: jax.Array, next_value: jax.Array, terminal: jax.Array, gamma: float
) -> jax.Array:
    """(1 - gamma) h(s) + gamma max(h(s), V_h(s')) (Eq. 7 and 9); h(s) itself at the end.

    Args:
        violation: `[...]` h of the transition.
        next_value: `[...]` V_h of the next state.
        terminal: `[...]` bool, whether nothing follows (the released code's rule: the target is h).
        gamma: discount, in (0, 1).

    Returns:
        `[...]` the regression target of Q_h.
    """
    target = (1 - gamma) * violation + gamma * jnp.maximum(violation, next_value)
    return jnp.where(terminal, violation, target)


def reward_target(
    reward: jax.Array, next_value: jax.Array, terminal: jax.Array, gamma: float
) -> jax.Array:
    """R + gamma V_r(s') (Eq. 16), without the second term at the end; shapes as above."""
    return reward + gamma * jnp.where(terminal, 0.0, next_value)


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
