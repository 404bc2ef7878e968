"""Behaviour data for `PointRobot`: half random, half competent (Appendix D.1).

The paper's competent half came from a converged online agent. Ours is a script: it steers along
the tangents of the hazards towards the goal, forwards or backwards, and whenever no braking
manoeuvre would be safe after the action that it wants, takes the first action of the safest one
instead.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fisor.envs.point_robot import dynamics
from fisor.envs.point_robot.truth import brake_and_turn, braking_actions

Array = jax.Array
Actor = Callable[[Array, Any, Array], tuple[Array, Any]]  # (states, its state, key) -> actions

BATCH_EPISODES = 500
EVADING_STEPS = 40  # from speed 2 to a standstill
SAFETY_MARGIN = 0.03
EXPLORATION_NOISE = 0.1  # standard deviation of the noise on a competent action
CHANGE_PROBABILITY = 0.1  # a random action is held for 10 steps on average
LEAST_SPEED = 0.15
FORWARDS_PREFERENCE = 0.25  # of a unit of speed, against the cosine of the angle to the aim


class Episodes(NamedTuple):
    """Whole episodes one after another, n transitions in total; DSRL's names.

    Attributes:
        observations: `[n, 11]`.
        actions: `[n, 2]`.
        next_observations: `[n, 11]`.
        rewards: `[n]`.
        costs: `[n]` cost of the state after the step.
        terminals: `[n]` bool.
        timeouts: `[n]` bool, cut by the time limit or by the end of the dataset.
        violations: `[n]` dense h of the state before the step.
    """

    observations: np.ndarray
    actions: np.ndarray
    next_observations: np.ndarray
    rewards: np.ndarray
    costs: np.ndarray
    terminals: np.ndarray
    timeouts: np.ndarray
    violations: np.ndarray


class Style(NamedTuple):
    """The settings of competent drivers, `[B]` each.

    Attributes:
        clearance: distance from a hazard's centre that a driver steers for; below the radius, only
            the safest manoeuvre prevents a violation.
        speed: desired speed.
        gain: gain of the corrections of errors.
    """

    clearance: Array
    speed: Array
    gain: Array


def _manoeuvres() -> np.ndarray:
    turns = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=2)), np.float32)
    return np.repeat(turns, EVADING_STEPS // 2, axis=1)


def safest_manoeuvre(states: Array) -> tuple[Array, Array]:
    """The braking manoeuvre that keeps clear of hazards, and then of the box's edge.

    Args:
        states: `[B, 4]`.

    Returns:
        `[B]` its risk, 0 where it keeps the margin to both, and its first action `[B, 2]`.
    """
    manoeuvres = jnp.asarray(_manoeuvres())
    worst, edge = jax.vmap(brake_and_turn, in_axes=(None, 0))(states, manoeuvres)
    hazard_risk = jnp.maximum(worst + SAFETY_MARGIN, 0.0)
    edge_risk = jnp.maximum(edge - dynamics.HALF_WIDTH + SAFETY_MARGIN, 0.0)
    risk = 100.0 * hazard_risk + edge_risk  # avoiding a hazard comes before the edge
    safest = risk.argmin(axis=0)
    return risk.min(axis=0), braking_actions(states, manoeuvres[safest, 0])


def _angle(radians: Array) -> Array:
    return (radians + jnp.pi) % (2 * jnp.pi) - jnp.pi


def wanted_action(states: Array, style: Style) -> Array:
    """Steer for the goal, along the tangent of the nearest hazard in the way; straight out of one.

    Forwards or backwards, whichever is quicker: the dynamics are the same in both directions.

    Args:
        states: `[B, 4]`.
        style: settings of each driver.

    Returns:
        `[B, 2]` actions, not clipped.
    """
    to_goal = jnp.asarray(dynamics.GOAL_CENTRE) - states[:, :2]
    aim = goal_aim = jnp.arctan2(to_goal[:, 1], to_goal[:, 0])
    nearest = jnp.full(states.shape[0], jnp.inf)
    for centre in dynamics.HAZARD_CENTRES:
        offset = jnp.asarray(centre) - states[:, :2]
        distance = jnp.linalg.norm(offset, axis=-1)
        bearing = jnp.arctan2(offset[:, 1], offset[:, 0])
        beside = _angle(goal_aim - bearing)
        half_width = jnp.arcsin(jnp.clip(style.clearance / distance, 0.0, 1.0))
        blocks = (jnp.abs(beside) < half_width) & (distance < jnp.linalg.norm(to_goal, axis=-1))
        tangent = bearing + jnp.where(beside >= 0, half_width, -half_width)
        tangent = jnp.where(distance < dynamics.HAZARD_RADIUS, bearing + jnp.pi, tangent)
        first = (blocks | (distance < dynamics.HAZARD_RADIUS)) & (distance < nearest)
        aim = jnp.where(first, tangent, aim)
        nearest = jnp.where(first, distance, nearest)
    heading, velocity = states[:, 3], states[:, 2]
    forwards = jnp.cos(aim - heading) + FORWARDS_PREFERENCE * velocity > 0
    direction = jnp.where(forwards, 1.0, -1.0)
    error = _angle(aim - heading - jnp.where(forwards, 0.0, jnp.pi))
    speed = direction * jnp.maximum(style.speed * jnp.cos(error), LEAST_SPEED)
    return jnp.stack([(speed - velocity) * style.gain, error * style.gain], axis=-1)


def competent_action(states: Array, style: Style, key: Array) -> Array:
    """The action of a competent driver, noise included. Consumes `key`.

    Args:
        states: `[B, 4]`.
        style: settings of each driver.
        key: a key.

    Returns:
        `[B, 2]` actions in [-1, 1].
    """
    noise = EXPLORATION_NOISE * jax.random.normal(key, (states.shape[0], dynamics.ACTION_DIM))
    wanted = jnp.clip(wanted_action(states, style) + noise, -1.0, 1.0)
    after = dynamics.step(states, wanted).state
    risk_after, _ = safest_manoeuvre(after)
    _, evading = safest_manoeuvre(states)
    # Inside a hazard, drive out of it instead of braking.
    depth = dynamics.violation(states)
    outwards = dynamics.violation(after) <= depth
    leaving = (depth > -SAFETY_MARGIN) & (outwards | (jnp.abs(states[:, 2]) <= LEAST_SPEED))
    return jnp.where(((risk_after > 0) & ~leaving)[:, None], evading, wanted)


def _roll(starts: Array, actor_state: Any, act: Actor, key: Array) -> tuple:
    """Step all robots for the time limit; `over` marks steps after an episode's end."""

    def one(carry: tuple, key: Array) -> tuple[tuple, tuple]:
        states, over, actor_state = carry
        actions, actor_state = act(states, actor_state, key)
        result = dynamics.step(states, actions)
        ended = over | result.terminated
        kept = jnp.where(ended[:, None], states, result.state)
        return (kept, ended, actor_state), (states, actions, result, over)

    keys = jax.random.split(key, dynamics.HORIZON_STEPS)
    start = (starts, jnp.zeros(starts.shape[0], bool), actor_state)
    return jax.lax.scan(one, start, keys)[1]


@jax.jit
def competent_batch(key: Array) -> tuple:
    """A batch of competent episodes from starts over the whole box. Consumes `key`."""
    start_key, style_key, roll_key = jax.random.split(key, 3)
    low, high = jnp.asarray([0.8, 0.8, 2.0]), jnp.asarray([1.1, 2.0, 5.0])
    style = Style(*jax.random.uniform(style_key, (BATCH_EPISODES, 3), minval=low, maxval=high).T)

    def act(states: Array, style: Style, key: Array) -> tuple[Array, Style]:
        return competent_action(states, style, key), style

    return _roll(dynamics.sample_starts(start_key, BATCH_EPISODES), style, act, roll_key)


@jax.jit
def random_batch(key: Array) -> tuple:
    """A batch of episodes of a random policy. Consumes `key`.

    Like an untrained Gaussian policy, it draws actions from a standard normal, clipped to the
    bounds; it holds each action for a random number of steps.
    """
    start_key, first_key, roll_key = jax.random.split(key, 3)

    def draw(key: Array) -> Array:
        normal = jax.random.normal(key, (BATCH_EPISODES, dynamics.ACTION_DIM))
        return jnp.clip(normal, -1.0, 1.0)

    def act(states: Array, held: Array, key: Array) -> tuple[Array, Array]:
        change_key, action_key = jax.random.split(key)
        change = jax.random.bernoulli(change_key, CHANGE_PROBABILITY, (BATCH_EPISODES, 1))
        actions = jnp.where(change, draw(action_key), held)
        return actions, actions

    starts = dynamics.sample_starts(start_key, BATCH_EPISODES)
    return _roll(starts, draw(first_key), act, roll_key)


def _episodes(batch: tuple, limit: int) -> Episodes:
    """The batch's episodes one after another, at most `limit` transitions."""
    states, actions, result, over = batch
    violations = np.asarray(dynamics.violation(states))
    observations = np.asarray(dynamics.observe(states))
    next_observations = np.asarray(dynamics.observe(result.state))
    lengths = (~np.asarray(over)).sum(axis=0)
    timeouts = np.zeros(over.shape, bool)
    cut_by_time = lengths == dynamics.HORIZON_STEPS
    timeouts[-1] = cut_by_time & ~np.asarray(result.terminated)[-1]
    fields = (
        *(observations, actions, next_observations, result.reward, result.cost),
        *(result.terminated, timeouts, violations),
    )
    # [steps, episodes, ...] -> one episode after another, without steps after their ends
    kept = ~np.asarray(over).T.reshape(-1)
    flat = [
        np.swapaxes(np.asarray(field), 0, 1).reshape(-1, *field.shape[2:])[kept][:limit]
        for field in fields
    ]
    episodes = Episodes(*flat)
    if not episodes.terminals[-1]:
        episodes.timeouts[-1] = True
    return episodes


def collect(transitions: int, seed: int) -> Episodes:
    """Half of the transitions from random episodes, half from competent ones.

    Args:
        transitions: total number, at least 2; the last episode of each half is cut to fit.
        seed: seed of all randomness.

    Returns:
        The episodes, random ones first.
    """
    key = jax.random.key(seed)
    halves = []
    wanted = {random_batch: transitions // 2, competent_batch: transitions - transitions // 2}
    for half, (batch, missing) in enumerate(wanted.items()):
        number = 0
        while missing > 0:
            batch_key = jax.random.fold_in(jax.random.fold_in(key, half), number)
            halves.append(_episodes(batch(batch_key), missing))
            missing -= halves[-1].rewards.size
            number += 1
    return Episodes(*(np.concatenate(fields) for fields in zip(*halves, strict=True)))
