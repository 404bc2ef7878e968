"""`PointRobot` for evaluation, many robots at once, and for users, a gymnasium environment."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from fisor.envs.point_robot import dynamics, truth
from fisor.envs.suites import NOT_NEGATIVE, SHARE, Episode, Outcome, Result, Suite
from fisor.envs.truth import Disc, Plane, Slice, Truth
from fisor.errors import InputError


class PointRobotBatch:
    """Many independent robots that step together, used by evaluation."""

    def __init__(self) -> None:
        """Start without robots."""
        self._states = jnp.zeros((0, dynamics.STATE_DIM))

    def reset(self, reset_seeds: np.ndarray) -> np.ndarray:
        """Start an episode for each of `[B]` seeds; returns observations `[B, 11]`."""
        self._states, observations = _start_and_observe(jnp.asarray(reset_seeds))
        return np.asarray(observations)

    def step(self, actions: np.ndarray) -> tuple[dynamics.Step, np.ndarray]:
        """Step every robot with `[B, 2]` actions, also those whose episode has ended."""
        result, observations = _step_and_observe(self._states, jnp.asarray(actions))
        self._states = result.state
        return result, np.asarray(observations)

    def advance(
        self, starting: Mapping[int, Episode], stepping: np.ndarray, actions: np.ndarray
    ) -> Outcome:
        """Start episodes in some of B slots and step in all others, as `SimulatorPool.advance`."""
        slots, starts = stepping.size, np.zeros(stepping.size, bool)
        starts[list(starting)] = True
        if starts.all():
            self._states = jnp.zeros((slots, dynamics.STATE_DIM))
        result, observed = self.step(actions)
        observations = observed.copy()
        if starting:
            # Of all slots, so that one program serves any number of starts.
            seeds = np.zeros(slots, np.int64)
            for slot, episode in starting.items():
                seeds[slot] = episode.reset_seed
            states, seen = _start_and_observe(jnp.asarray(seeds))
            self._states = jnp.where(starts[:, None], states, self._states)
            observations[starts] = np.asarray(seen)[starts]
        return Outcome(
            observations=observations,
            rewards=np.asarray(result.reward),
            costs=np.asarray(result.cost),
            over=np.asarray(result.terminated),
            started=starts,
            reached_goal=np.asarray(result.reached_goal),
            left_box=np.asarray(result.left_box),
        )


@jax.jit
def _start_and_observe(reset_seeds: jax.Array) -> tuple[jax.Array, jax.Array]:
    states = dynamics.starts_of(reset_seeds)
    return states, dynamics.observe(states)


@jax.jit
def _step_and_observe(states: jax.Array, actions: jax.Array) -> tuple[dynamics.Step, jax.Array]:
    result = dynamics.step(states, actions)
    return result, dynamics.observe(result.state)


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

    def __init__(self, horizon_steps: int = dynamics.HORIZON_STEPS) -> None:
        """Make a robot whose episodes last at most `horizon_steps`; call `reset` before `step`."""
        unbounded = np.full(dynamics.OBSERVATION_DIM, np.inf, np.float32)
        self.observation_space = gymnasium.spaces.Box(-unbounded, unbounded, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (dynamics.ACTION_DIM,), np.float32)
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
        """One step with `action` `[2]`, clipped to [-1, 1].

        `info` holds cost, reached_goal and left_box.
        """
        result, observations = self._batch.step(np.asarray(action)[None])
        self._steps += 1
        info = {
            "cost": float(result.cost[0]),
            "reached_goal": bool(result.reached_goal[0]),
            "left_box": bool(result.left_box[0]),
        }
        terminated = bool(result.terminated[0])
        truncated = self._steps >= self._horizon_steps and not terminated
        return observations[0], float(result.reward[0]), terminated, truncated, info


def _feasible_starts(reset_seeds: np.ndarray) -> np.ndarray:
    return truth.least_violation(np.asarray(dynamics.starts_of(jnp.asarray(reset_seeds)))) <= 0


SUITE = Suite(
    title="PointRobot",
    make=make,
    results=(
        # No normalised cost: costs are sums of depths in hazards, for which no limit is meaningful.
        Result("normalised reward", "normalised_reward"),
        Result("violating steps", "violating_steps", NOT_NEGATIVE),
        Result("episodes with a violation", "violated", SHARE),
        Result("violation from feasible starts", "violated", SHARE, "feasible"),
        Result("goal reached from feasible starts", "reached_goal", SHARE, "feasible"),
        Result("goal reached from infeasible starts", "reached_goal", SHARE, "infeasible"),
    ),
    behaviour="script",
    batch=PointRobotBatch,
    truth=Truth(
        plane=Plane(
            dynamics.HALF_WIDTH,
            tuple(Disc(centre, dynamics.HAZARD_RADIUS) for centre in dynamics.HAZARD_CENTRES),
            Disc(dynamics.GOAL_CENTRE, dynamics.GOAL_RADIUS),
        ),
        # The paper's Figure 1 (c)-(e), and a faster one that it does not show.
        slices=(Slice(0.5, 45), Slice(1, 90), Slice(1.5, 45), Slice(2, 0)),
        feasible_starts=_feasible_starts,
        observe=lambda states: np.asarray(dynamics.observe(jnp.asarray(states))),
        least_violation=truth.least_violation,
        papers_violation=truth.papers_violation,
    ),
)
