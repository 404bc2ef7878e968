"""The Lagrange multiplier of a cost limit by a PID controller (Stooke et al. 2020)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array

PROPORTIONAL, INTEGRAL, DERIVATIVE = 0.5, 0.06, 0.2
ERROR_UNIT, LARGEST_ERROR = 0.1, 2.0  # of the horizon; in that unit
LARGEST_MULTIPLIER = 10.0


class Multiplier(NamedTuple):
    """The PID controller's memory: its integral, and the last cost per episode."""

    integral: Array
    last_cost: Array


def control(
    memory: Multiplier, cost: Array, limit: Array, horizon_steps: int
) -> tuple[Multiplier, Array]:
    """The PID controller's next Lagrange multiplier (Stooke et al. 2020, Algorithm 2).

    Args:
        memory: memory after the previous roll-out.
        cost: cost per episode of this roll-out.
        limit: limit of the cost per episode; may be infinite.
        horizon_steps: the unit of costs is a tenth of it.

    Returns:
        The new memory, and the multiplier, 0 to 10.
    """
    unit = ERROR_UNIT * horizon_steps
    error = jnp.clip((cost - limit) / unit, -LARGEST_ERROR, LARGEST_ERROR)
    integral = jnp.clip(memory.integral + INTEGRAL * error, 0.0, LARGEST_MULTIPLIER)
    rise = jnp.clip((cost - memory.last_cost) / unit, 0.0, LARGEST_ERROR)
    multiplier = PROPORTIONAL * error + integral + DERIVATIVE * rise
    return Multiplier(integral, cost), jnp.clip(multiplier, 0.0, LARGEST_MULTIPLIER)
