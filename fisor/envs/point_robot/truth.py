"""The true feasible region of `PointRobot`: the oracles that the learned one is compared with.

Braking fully is part of a safest manoeuvre. Turning is bounded in angle per time and not per
distance, so whatever path a robot can follow, it can follow more slowly; braking fully, it covers
only the beginning of that path, and then stands. What is left to search are the turns. The search
is exhaustive over turns held for segments of equal length, on the task's own dynamics, so a state
called feasible has a witness, and halving the segments can only find more of them.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fisor.envs.point_robot import dynamics

SEGMENT_STEPS = 10  # 0.5 s; halving it changes less than 1 % of the states, as a test checks
TURNS = (-1.0, 0.0, 1.0)


def braking_actions(states: jax.Array, turns: jax.Array) -> jax.Array:
    """Brake fully, to a standstill and no further, and turn.

    Args:
        states: `[..., 4]`.
        turns: angular speeds that broadcast to `[...]`.

    Returns:
        `[..., 2]` actions.
    """
    brake = jnp.clip(-states[..., 2] / dynamics.DT_SECONDS, -1.0, 1.0)
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
    way = _follow(_start(states), turns)
    return way.worst, way.edge


class _Way(NamedTuple):
    """The state of manoeuvres so far, each field `[B, ...]`."""

    states: jax.Array
    worst: jax.Array
    edge: jax.Array
    over: jax.Array


def _start(states: jax.Array) -> _Way:
    edge = jnp.abs(states[:, :2]).max(-1)
    return _Way(states, dynamics.violation(states), edge, jnp.zeros(states.shape[0], bool))


def _follow(way: _Way, turns: jax.Array) -> _Way:
    def one(way: _Way, turn: jax.Array) -> tuple[_Way, None]:
        result = dynamics.step(way.states, braking_actions(way.states, turn))
        worst = jnp.maximum(way.worst, dynamics.violation(result.state))
        worst = jnp.where(way.over, way.worst, worst)
        edge = jnp.maximum(way.edge, jnp.abs(result.state[:, :2]).max(-1))
        return _Way(result.state, worst, edge, way.over | result.terminated), None

    return jax.lax.scan(one, way, turns)[0]


@partial(jax.jit, static_argnames=("segments", "segment_steps", "turns"))
def _least_violation(
    states: jax.Array, segments: int, segment_steps: int, turns: tuple[float, ...]
) -> jax.Array:
    ways = _start(states)
    for _ in range(segments):  # each manoeuvre branches into one per turn
        ways = jax.tree.map(lambda x: jnp.concatenate([x] * len(turns)), ways)
        of_each = jnp.repeat(jnp.asarray(turns), ways.worst.size // len(turns))
        ways = _follow(ways, jnp.broadcast_to(of_each, (segment_steps, ways.worst.size)))
    return ways.worst.reshape(-1, states.shape[0]).min(0)


def _braking_steps(states: np.ndarray) -> int:
    fastest = float(np.abs(states[:, 2]).max())
    return max(1, int(np.ceil(fastest / dynamics.DT_SECONDS - 1e-6)))


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
    starts = jnp.asarray(states, jnp.float32)
    return np.asarray(_least_violation(starts, segments, segment_steps, turns))


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
        offset = jnp.asarray(dynamics.HAZARD_CENTRES[index]) - states[:, :2]
        heading = jnp.stack([jnp.cos(states[:, 3]), jnp.sin(states[:, 3])], axis=-1)
        on_the_left = heading[:, 0] * offset[:, 1] - heading[:, 1] * offset[:, 0] >= 0
        away = jnp.where(on_the_left, -1.0, 1.0)

        def one(carry: tuple, _: None) -> tuple[tuple, None]:
            states, worst = carry
            states = dynamics.step(states, braking_actions(states, away)).state
            return (states, jnp.maximum(worst, violation_of(states))), None

        def violation_of(states: jax.Array) -> jax.Array:
            distances = dynamics.distances_to_hazards(states[:, :2])
            return dynamics.HAZARD_RADIUS - distances[:, index]

        return jax.lax.scan(one, (states, violation_of(states)), length=steps)[0][1]

    return jnp.maximum(for_hazard(0), for_hazard(1))
