"""TD3+BC (Fujimoto and Gu 2021), as far as its constrained variants of Table 6 share it."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fisor.baselines import bc
from fisor.config.baseline import CriticTraining
from fisor.config.section import setting
from fisor.nn.optimiser import optimiser

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class TD3BCTraining(CriticTraining):
    """TD3+BC's own parameters, under its names.

    Attributes:
        alpha: weight of the reward's action value, over the mean of its size.
        policy_delay: steps of the critics for each one of the policy and of all targets.
        target_noise: deviation of the noise on the target policy's actions.
        target_noise_clip: largest size of that noise.
    """

    alpha: float = setting(gt=0)
    policy_delay: int = setting(ge=1)
    target_noise: float = setting(ge=0)
    target_noise_clip: float = setting(ge=0)


def policy_loss(action: Array, data_action: Array, q: Array, weight: Array) -> Array:
    """(pi(s) - a)^2 - lambda Q(s, pi(s)) (Appendix D.7; Fujimoto and Gu 2021).

    Args:
        action: `[action_dim]` pi(s).
        data_action: `[action_dim]` a; the square is the mean over its entries, as in their code.
        q: `[]` Q(s, pi(s)).
        weight: `[]` lambda, from `reward_weight`.
    """
    return bc.loss(action, data_action) - weight * q


def reward_weight(q: Array, alpha: float) -> Array:
    """Lambda = alpha / mean |Q| over a batch (Fujimoto and Gu 2021), without gradient.

    Args:
        q: `[B]` Q(s, pi(s)).
        alpha: its numerator, above 0.
    """
    return alpha / jax.lax.stop_gradient(jnp.abs(q).mean())


def smoothed(action: Array, noise: Array, deviation: float, clip: float) -> Array:
    """The target policy's action with clipped noise (TD3, Fujimoto et al. 2018).

    Args:
        action: `[action_dim]` in [-1, 1].
        noise: `[action_dim]` standard normal.
        deviation: the noise is multiplied by it,
        clip: and then cut to [-clip, clip].

    Returns:
        `[action_dim]` in [-1, 1].
    """
    return jnp.clip(action + jnp.clip(deviation * noise, -clip, clip), -1.0, 1.0)


def target_actions(config: TD3BCTraining, actions: Array, key: Array) -> Array:
    """`smoothed` of `[B, action_dim]` actions of the target policy. Consumes `key`."""
    noise = jax.random.normal(key, actions.shape)
    of_each = jax.vmap(smoothed, in_axes=(0, 0, None, None))
    return of_each(actions, noise, config.target_noise, config.target_noise_clip)


def delayed_optimiser(config: TD3BCTraining, learning_rate: float) -> optax.GradientTransformation:
    """Adam of what takes a step with the policy; a falling rate reaches 0 with its last one."""
    steps = -(-config.training_steps // config.policy_delay)
    return optimiser(dataclasses.replace(config, training_steps=steps), learning_rate)


def due(config: TD3BCTraining, updates: Array) -> Array:
    """Whether the policy takes a step, after `updates` `[]` of the critics' before this one."""
    return (updates + 1) % config.policy_delay == 0


def when(due: Array, after: Any, before: Any) -> Any:
    """`after` where a step is due, else `before`; by choosing, as vmap makes of a branch anyway.

    Args:
        due: `[]` bool.
        after: pytree of arrays.
        before: the same.
    """
    return jax.tree.map(lambda new, old: jnp.where(due, new, old), after, before)
