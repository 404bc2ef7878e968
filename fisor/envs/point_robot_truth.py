"""The true feasible region of `PointRobot`: the oracles that the learned one is measured against.

Braking fully is part of a safest manoeuvre. Turning is bounded in angle per time and not per
distance, so whatever path a robot can follow, it can follow more slowly; braking fully, it covers
only the beginning of that path, and then stands. What is left to search are the turns. The search
is exhaustive over turns held for segments of equal length, on the task's own dynamics, so a state
called feasible has a witness, and halving the segments can only find more of them.
"""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from fisor.envs import point_robot

SEGMENT_STEPS = 10  # 0.5 s; halving it changes less than 1 % of the states, which a test holds
TURNS = (-1.0, 0.0, 1.0)


def braking_actions(states: jax.Array, turns: jax.Array) -> jax.Array:
    """Brake fully, to a stand and no further, and turn.

    Args:
        states: `[..., 4]`.
        turns: angular speeds that broadcast to `[...]`.

    Returns:
        `[..., 2]` actions.
    """
    brake = jnp.clip(-states[..., 2] / point_robot.DT_SECONDS, -1.0, 1.0)
    return jnp.stack([brake, jnp.broadcast_to(turns, brake.shape)], axis=-1)


def brake_and_turn(states: jax.Array, turns: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Follow one braking manoeuvre.

    Args:
        states: `[B, 4]`.
        turns: `[steps]` or `[steps, B]` angular speeds.

    Returns:
        `[B]` the largest violation on the way, the start included, until the goal or the box's
        edge ends the episode; and `[B]` the largest |x| or |y| on the way.
    """

    def one(carry: tuple, turn: jax.Array) -> tuple[tuple, None]:
        states, worst, edge, over = carry
        result = point_robot.step(states, braking_actions(states, turn))
        worst = jnp.where(over, worst, jnp.maximum(worst, point_robot.violation(result.state)))
        edge = jnp.maximum(edge, jnp.abs(result.state[:, :2]).max(-1))
        return (result.state, worst, edge, over | result.terminated), None

    edge = jnp.abs(states[:, :2]).max(-1)
    start = (states, point_robot.violation(states), edge, jnp.zeros(states.shape[0], bool))
    (_, worst, edge, _), _ = jax.lax.scan(one, start, turns)
    return worst, edge


@jax.jit
def _least_over(states: jax.Array, manoeuvres: jax.Array) -> jax.Array:
    def keep_least(least: jax.Array, turns: jax.Array) -> tuple[jax.Array, None]:
        return jnp.minimum(least, brake_and_turn(states, turns)[0]), None

    return jax.lax.scan(keep_least, jnp.full(states.shape[0], jnp.inf), manoeuvres)[0]


def _braking_steps(states: np.ndarray) -> int:
    fastest = float(np.abs(states[:, 2]).max())
    return max(1, int(np.ceil(fastest / point_robot.DT_SECONDS - 1e-6)))


def least_violation(
    states: np.ndarray, segment_steps: int = SEGMENT_STEPS, turns: tuple[float, ...] = TURNS
) -> np.ndarray:
    """The least worst violation over all braking manoeuvres: V_h* of Definition 1 for this task.

    Args:
        states: `[B, 4]`.
        segment_steps: steps for which a turn is held.
        turns: angular speeds to choose from in each segment.

    Returns:
        `[B]`; at most 0 means truly feasible.
    """
    segments = -(-_braking_steps(states) // segment_steps)
    sequences = np.array(list(itertools.product(turns, repeat=segments)), np.float32)
    manoeuvres = np.repeat(sequences, segment_steps, axis=1)
    return np.asarray(_least_over(jnp.asarray(states, jnp.float32), jnp.asarray(manoeuvres)))


def papers_violation(states: np.ndarray) -> np.ndarray:
    """The paper's ground truth (Appendix D.1): for each hazard, one safest manoeuvre.

    It brakes fully and turns fully away from that hazard, judged at the start, without regard to
    the other one; the worse of the two counts.

    Args:
        states: `[B, 4]`.

    Returns:
        `[B]`; at most 0 means feasible by that rule.
    """
    return np.asarray(_papers_violation(jnp.asarray(states, jnp.float32), _braking_steps(states)))


@partial(jax.jit, static_argnames="steps")
def _papers_violation(states: jax.Array, steps: int) -> jax.Array:
    def for_hazard(index: int) -> jax.Array:
        offset = jnp.asarray(point_robot.HAZARD_CENTRES[index]) - states[:, :2]
        heading = jnp.stack([jnp.cos(states[:, 3]), jnp.sin(states[:, 3])], axis=-1)
        on_the_left = heading[:, 0] * offset[:, 1] - heading[:, 1] * offset[:, 0] >= 0
        away = jnp.where(on_the_left, -1.0, 1.0)

        def one(carry: tuple, _: None) -> tuple[tuple, None]:
            states, worst = carry
            states = point_robot.step(states, braking_actions(states, away)).state
            return (states, jnp.maximum(worst, violation_of(states))), None

        def violation_of(states: jax.Array) -> jax.Array:
            distances = point_robot.distances_to_hazards(states[:, :2])
            return point_robot.HAZARD_RADIUS - distances[:, index]

        return jax.lax.scan(one, (states, violation_of(states)), length=steps)[0][1]

    return jnp.maximum(for_hazard(0), for_hazard(1))
