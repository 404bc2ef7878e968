"""The reach-avoid task of the paper (Appendix D.1, Figure 1): a point robot, two hazards, one goal.

The dynamics are written once, in JAX, over a batch of states; the data collection, the ground truth
and the environments all call `step`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

DT_SECONDS = 0.05
HORIZON_STEPS = 300
HALF_WIDTH = 3.0  # the box is [-3, 3] x [-3, 3]
HAZARD_RADIUS = 0.8
HAZARD_CENTRES = ((0.4, -1.2), (-0.4, 1.2))
GOAL_CENTRE = (2.2, 2.2)
GOAL_RADIUS = 0.3
GOAL_BONUS = 1.0
MAX_START_SPEED = 2.0
STATE_DIM, ACTION_DIM = 4, 2
OBSERVATION_DIM = 5 + 3 * len(HAZARD_CENTRES)


class Step(NamedTuple):
    """The result of one step of a batch.

    Attributes:
        state: `[..., 4]` the next state.
        reward: `[...]` distance to the goal gained in this step, plus 1 on reaching it.
        cost: `[...]` max(h, 0) of the next state (Appendix D.1), zero where it is safe.
        terminated: `[...]` whether the goal was reached or the box was left.
        reached_goal: `[...]` whether the goal was reached.
    """

    state: jax.Array
    reward: jax.Array
    cost: jax.Array
    terminated: jax.Array
    reached_goal: jax.Array

    @property
    def left_box(self) -> jax.Array:
        """`[...]` whether the box was left; the goal lies inside of it."""
        return self.terminated & ~self.reached_goal


def distances_to_hazards(positions: jax.Array) -> jax.Array:
    """Distance from each of `positions` `[..., 2]` to each hazard's centre, `[..., 2]`."""
    offsets = jnp.asarray(HAZARD_CENTRES, jnp.float32) - positions[..., None, :]
    return jnp.linalg.norm(offsets, axis=-1)


def violation(states: jax.Array) -> jax.Array:
    """h(s) = R_hazard - min(d_hazard1, d_hazard2) (Appendix D.1); above 0 inside a hazard.

    Args:
        states: `[..., 4]` of x, y, speed and heading; `[..., 2]` positions do as well.

    Returns:
        `[...]` the violation, in units of length.
    """
    return HAZARD_RADIUS - distances_to_hazards(states[..., :2]).min(-1)


def distance_to_goal(states: jax.Array) -> jax.Array:
    """Distance from each of `states` `[..., 4]` to the goal's centre, `[...]`."""
    return jnp.linalg.norm(states[..., :2] - jnp.asarray(GOAL_CENTRE, jnp.float32), axis=-1)


def outside_box(states: jax.Array) -> jax.Array:
    """Whether each of `states` `[..., 4]` has left the box, `[...]`."""
    return jnp.any(jnp.abs(states[..., :2]) > HALF_WIDTH, axis=-1)


def step(states: jax.Array, actions: jax.Array) -> Step:
    """One Euler step of 0.05 s for a batch.

    Args:
        states: `[..., 4]` of x, y, speed (units of length per second) and heading (radians).
        actions: `[..., 2]` acceleration and angular speed, clipped to [-1, 1].

    Returns:
        A `Step` of arrays with the batch's shape.
    """
    actions = jnp.clip(actions, -1.0, 1.0)
    speed, heading = states[..., 2], states[..., 3]
    derivative = jnp.stack(
        [speed * jnp.cos(heading), speed * jnp.sin(heading), actions[..., 0], actions[..., 1]], -1
    )
    next_states = states + DT_SECONDS * derivative
    reached_goal = distance_to_goal(next_states) <= GOAL_RADIUS
    gained = distance_to_goal(states) - distance_to_goal(next_states)
    return Step(
        state=next_states,
        reward=gained + jnp.where(reached_goal, GOAL_BONUS, 0.0),
        cost=jnp.maximum(violation(next_states), 0.0),
        terminated=reached_goal | outside_box(next_states),
        reached_goal=reached_goal,
    )


def observe(states: jax.Array) -> jax.Array:
    """The agent's observations of `states` `[..., 4]`.

    Returns:
        `[..., 11]`: x, y, speed, cosine and sine of the heading, then for each hazard its distance
        and the cosine and sine of its bearing in the robot's frame.
    """
    heading = states[..., 3]
    seen = [states[..., 0], states[..., 1], states[..., 2], jnp.cos(heading), jnp.sin(heading)]
    for centre in HAZARD_CENTRES:
        offset = jnp.asarray(centre, jnp.float32) - states[..., :2]
        bearing = jnp.arctan2(offset[..., 1], offset[..., 0]) - heading
        seen += [jnp.linalg.norm(offset, axis=-1), jnp.cos(bearing), jnp.sin(bearing)]
    return jnp.stack(seen, axis=-1)


def sample_starts(key: jax.Array, count: int) -> jax.Array:
    """Start states over the whole box, all headings, speeds 0 to 2. Consumes `key`.

    Returns:
        `[count, 4]` states.
    """
    low = jnp.asarray([-HALF_WIDTH, -HALF_WIDTH, 0.0, -jnp.pi], jnp.float32)
    high = jnp.asarray([HALF_WIDTH, HALF_WIDTH, MAX_START_SPEED, jnp.pi], jnp.float32)
    return jax.random.uniform(key, (count, STATE_DIM), minval=low, maxval=high)


@jax.jit
def starts_of(reset_seeds: jax.Array) -> jax.Array:
    """The start state of each reset seed `[B]`, `[B, 4]`."""
    return jax.vmap(lambda seed: sample_starts(jax.random.key(seed), 1)[0])(reset_seeds)
