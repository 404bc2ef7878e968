"""The cost limit as methods with cost values need it, and the multiplier that enforces it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array


def discounted_limit(cost_limit: float, gamma: float, horizon_steps: int) -> float:
    """The limit l of an episode's costs, as one of the discounted costs to come.

    l (1 - gamma^T) / ((1 - gamma) T): the discounted sum of T steps that each cost l / T. OSRL (Liu
    et al., DSRL, 2024) compares cost values with it.

    Args:
        cost_limit: l, cost per episode, at least 0.
        gamma: discount, in (0, 1].
        horizon_steps: T.
    """
    if gamma == 1:
        return cost_limit
    return cost_limit * (1 - gamma**horizon_steps) / ((1 - gamma) * horizon_steps)


class Gains(NamedTuple):
    """Of a PID controller."""

    proportional: float
    integral: float
    derivative: float


class Multiplier(NamedTuple):
    """What a PID controller remembers.

    Attributes:
        integral: `[]` sum of the errors, never below 0.
        error: `[]` the last one.
    """

    integral: Array
    error: Array

    @classmethod
    def begin(cls) -> "Multiplier":
        """Before the first error."""
        return cls(jnp.zeros(()), jnp.zeros(()))


def pid(memory: Multiplier, error: Array, gains: Gains) -> tuple[Multiplier, Array]:
    """The next Lagrange multiplier by a PID controller (Stooke et al. 2020, Algorithm 2).

    Args:
        memory: of the steps before.
        error: `[]` the cost value less its limit; above 0 where the constraint is violated.
        gains: of the controller.

    Returns:
        What it remembers, and the multiplier `[]`, at least 0.
    """
    integral = jnp.maximum(memory.integral + error, 0.0)
    rise = jnp.maximum(error - memory.error, 0.0)
    multiplier = (
        gains.proportional * jnp.maximum(error, 0.0)
        + gains.integral * integral
        + gains.derivative * rise
    )
    return Multiplier(integral, error), multiplier
