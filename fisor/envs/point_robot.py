"""The reach-avoid task of the paper (Appendix D.1, Figure 1): a point robot, two hazards, one goal.

The dynamics are written once, in JAX, over a batch of states; the data collection, the ground truth
and the gymnasium environment all call `step`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from fisor.envs import Episode, Outcome
from fisor.errors import InputError

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


class BatchStep(NamedTuple):
    """One step of a batch of B environments, as evaluation sees it.

    Attributes:
        observations: `[B, obs_dim]`.
        rewards: `[B]`.
        costs: `[B]` cost of the state after the step.
        terminated: `[B]` bool.
        reached_goal: `[B]` bool.
    """

    observations: np.ndarray
    rewards: np.ndarray
    costs: np.ndarray
    terminated: np.ndarray
    reached_goal: np.ndarray


class Step(NamedTuple):
    """What one step of a batch gives.

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
        states: `[..., 4]` of x, y, speed (units of length a second) and heading (radians).
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
    """What the agent sees of `states` `[..., 4]`.

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
    """The start state that each reset seed `[B]` stands for, `[B, 4]`."""
    return jax.vmap(lambda seed: sample_starts(jax.random.key(seed), 1)[0])(reset_seeds)


class PointRobotBatch:
    """Many independent robots that step together; what evaluation runs."""

    observation_dim, action_dim = OBSERVATION_DIM, ACTION_DIM

    def reset(self, reset_seeds: np.ndarray) -> np.ndarray:
        """Start an episode for each of `[B]` seeds; returns observations `[B, 11]`."""
        self._states = starts_of(jnp.asarray(reset_seeds))
        return np.asarray(observe(self._states))

    def step(self, actions: np.ndarray) -> BatchStep:
        """Step every robot with `[B, 2]` actions; one that has ended goes on unheeded."""
        result, observations = _step_and_observe(self._states, jnp.asarray(actions))
        self._states = result.state
        return BatchStep(
            observations=np.asarray(observations),
            rewards=np.asarray(result.reward),
            costs=np.asarray(result.cost),
            terminated=np.asarray(result.terminated),
            reached_goal=np.asarray(result.reached_goal),
        )

    def advance(
        self, starting: Mapping[int, Episode], stepping: np.ndarray, actions: np.ndarray
    ) -> Outcome:
        """Start episodes in some of B slots and step in all others, as `SimulatorPool.advance`."""
        slots, starts = stepping.size, np.zeros(stepping.size, bool)
        starts[list(starting)] = True
        if starts.all():
            self._states = jnp.zeros((slots, STATE_DIM))
        result = self.step(actions)
        observations = result.observations.copy()
        if starting:
            seeds = np.array([episode.reset_seed for episode in starting.values()])
            states = starts_of(jnp.asarray(seeds))
            self._states = self._states.at[starts.nonzero()[0]].set(states)
            observations[starts] = observe(states)
        return Outcome(
            observations=observations,
            rewards=result.rewards,
            costs=result.costs,
            over=result.terminated,
            started=starts,
            reached_goal=result.reached_goal,
        )

    def truly_feasible(self, reset_seeds: np.ndarray) -> np.ndarray:
        """Whether each start `[B]` lies in the true feasible region, `[B]` bool."""
        # Imported here: the oracle itself is built on this module's dynamics.
        from fisor.envs.point_robot_truth import least_violation

        return least_violation(np.asarray(starts_of(jnp.asarray(reset_seeds)))) <= 0


@jax.jit
def _step_and_observe(states: jax.Array, actions: jax.Array) -> tuple[Step, jax.Array]:
    result = step(states, actions)
    return result, observe(result.state)


def make(environment: str, horizon_steps: int) -> gymnasium.Env:
    """Make the reach-avoid task.

    Args:
        environment: `PointRobot`.
        horizon_steps: the time limit of an episode.

    Raises:
        InputError: there is no such environment.
    """
    if environment != "PointRobot":
        raise InputError(f"point_robot has no environment `{environment}`; there is: PointRobot")
    return PointRobotEnv(horizon_steps)


class PointRobotEnv(gymnasium.Env):
    """The reach-avoid task as a gymnasium environment, one robot, cost in the step's info."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (gymnasium's own form)

    def __init__(self, horizon_steps: int = HORIZON_STEPS) -> None:
        """Make a robot whose episodes last at most `horizon_steps`; call `reset` before `step`."""
        unbounded = np.full(OBSERVATION_DIM, np.inf, np.float32)
        self.observation_space = gymnasium.spaces.Box(-unbounded, unbounded, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (ACTION_DIM,), np.float32)
        self._batch = PointRobotBatch()
        self._horizon_steps = horizon_steps
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; the same `seed` gives the same start."""
        super().reset(seed=seed, options=options)
        drawn = seed if seed is not None else int(self.np_random.integers(2**31))
        self._steps = 0
        return self._batch.reset(np.asarray([drawn]))[0], {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step with `action` `[2]`, clipped to [-1, 1]; `info` holds cost and reached_goal."""
        result = self._batch.step(np.asarray(action)[None])
        self._steps += 1
        info = {"cost": float(result.costs[0]), "reached_goal": bool(result.reached_goal[0])}
        terminated = bool(result.terminated[0])
        truncated = self._steps >= self._horizon_steps and not terminated
        return result.observations[0], float(result.rewards[0]), terminated, truncated, info
