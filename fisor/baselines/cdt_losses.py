"""CDT's losses (Liu et al., ICML 2023; the released code's means and targets)."""

import jax
import jax.numpy as jnp

Array = jax.Array


def entropy(log_std: Array) -> Array:
    """The entropy of a Gaussian, mean over an action's entries, `[action_dim]` -> `[]`."""
    return log_std.mean() + 0.5 * (1 + jnp.log(2 * jnp.pi))


def action_loss(mean: Array, log_std: Array, action: Array, temperature: Array) -> Array:
    """-log pi(a | R, C, s, ...) - alpha H(pi), means over an action's entries, `[]` (Liu et al.).

    Args:
        mean: `[action_dim]` of the Gaussian.
        log_std: `[action_dim]` logarithm of its deviation.
        action: `[action_dim]` of the dataset.
        temperature: `[]` alpha.
    """
    distance = (action - mean) * jnp.exp(-log_std)
    log_density = -0.5 * distance**2 - log_std - 0.5 * jnp.log(2 * jnp.pi)
    return -log_density.mean() - temperature * entropy(log_std)


def cost_loss(logits: Array, cost: Array) -> Array:
    """-log p(1[c > 0]), the loss of a step's predicted cost: `[2]` and `[]` -> `[]`."""
    free, costly = jax.nn.log_softmax(logits)
    return -jnp.where(cost > 0, costly, free)


def temperature_loss(log_temperature: Array, excess: Array) -> Array:
    """The loss alpha (H - H_target), `[]`: alpha rises while the entropy H is below its target.

    Args:
        log_temperature: `[]` log alpha.
        excess: `[]` H - H_target.
    """
    return jnp.exp(log_temperature) * excess
