"""Losses and targets of both critics, each for one transition; callers vmap or broadcast."""

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


def bellman_target(
    signal: jax.Array, next_value: jax.Array, terminal: jax.Array, gamma: float
) -> jax.Array:
    """The target r + gamma V(s') (Eq. 16), without the second term at the end.

    Args:
        signal: `[...]` r: a reward, or a cost.
        next_value: `[...]` V of the next state.
        terminal: `[...]` bool, whether nothing follows.
        gamma: discount, in (0, 1).

    Returns:
        `[...]` the regression target of Q.
    """
    return signal + gamma * jnp.where(terminal, 0.0, next_value)
