"""The table of suites; all that differs is in their `SUITE`, but for `rendering.renderers`."""

import importlib
import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol

import gymnasium
import numpy as np

from fisor.config.task import Environment
from fisor.envs.truth import Truth
from fisor.errors import InputError

# Modules that define `SUITE`; imported when a task needs them.
SUITES = {
    "point_robot": "fisor.envs.point_robot.suite",
    "safety_gymnasium": "fisor.envs.safety_gymnasium",
    "bullet_safety_gym": "fisor.envs.bullet_safety_gym",
    "metadrive": "fisor.envs.metadrive",
    "gymnasium": "fisor.envs.gymnasium",
}


class Episode(NamedTuple):
    """Which episode it is.

    Attributes:
        seed: the training seed whose policy acts.
        episode: its number, from 0.
        reset_seed: the seed that the environment is reset with.
    """

    seed: int
    episode: int
    reset_seed: int


class Outcome(NamedTuple):
    """The result of one step of B episodes in flight; rows without an episode are undefined.

    Attributes:
        observations: `[B, obs_dim]` float32.
        rewards: `[B]`.
        costs: `[B]` cost of the state after the step.
        over: `[B]` bool, whether the episode ended.
        started: `[B]` bool, whether the observation is an episode's first: it was to start, or its
            simulator failed and it starts again.
        reached_goal: `[B]` bool; None where there is no goal.
        left_box: `[B]` bool, whether leaving the box ended the episode; None where there is none.
    """

    observations: np.ndarray
    rewards: np.ndarray
    costs: np.ndarray
    over: np.ndarray
    started: np.ndarray
    reached_goal: np.ndarray | None
    left_box: np.ndarray | None


class Batch(Protocol):
    """Runs B episodes at once: a pool of simulators, or one simulator of many episodes."""

    def advance(
        self, starting: Mapping[int, Episode], stepping: np.ndarray, actions: np.ndarray
    ) -> Outcome:
        """Start episodes in some slots and take one step in others."""


Bounds = tuple[float, float]  # of values: lowest, highest
ANY, NOT_NEGATIVE, SHARE = (-math.inf, math.inf), (0.0, math.inf), (0.0, 1.0)


class Result(NamedTuple):
    """A figure of a method on a task: the mean of something over episodes.

    Attributes:
        name: its heading, such as `normalised cost`.
        column: a column of the rollouts, or one derived from them: `violated`, `never_violated`,
            and, without a violation, `reached_safely`, `left_safely` or `timed_out_safely`.
        bounds: bounds of the column's values.
        starts: which episodes count, by whether their start is truly feasible.
    """

    name: str
    column: str
    bounds: Bounds = ANY
    starts: Literal["all", "feasible", "infeasible"] = "all"


SIMULATOR_RESULTS = (
    Result("normalised reward", "normalised_reward"),
    Result("normalised cost", "normalised_cost", NOT_NEGATIVE),
    Result("episodes without a violation", "never_violated", SHARE),
    Result("violating steps", "violating_steps", NOT_NEGATIVE),
)


class Suite(NamedTuple):
    """What differs between suites.

    Attributes:
        title: its name in the report.
        make: (environment, horizon_steps) -> a gymnasium environment with actions in [-1, 1],
            float32 observations, the step's cost in `info["cost"]` and that time limit;
            `reset(seed=...)` reproduces an episode exactly. Raises `InputError` if the simulator
            cannot be imported, or does not have the environment.
        results: the figures that the report shows.
        behaviour: how data is collected: by on-policy learners, by the suite's own driver, or by
            PointRobot's script.
        one_per_process: whether a process can hold only one of its environments.
        batch: () -> a simulator of many episodes; None: each episode has its own environment.
        truth: the true feasible region; None where it is unknown.
    """

    title: str
    make: Callable[[str, int], gymnasium.Env]
    results: tuple[Result, ...] = SIMULATOR_RESULTS
    behaviour: Literal["learners", "driver", "script"] = "learners"
    one_per_process: bool = False
    batch: Callable[[], Batch] | None = None
    truth: Truth | None = None


def refuse_unknown(name: str, where: str) -> None:
    """Raise `InputError` if there is no such suite; `where` says in the message who named it."""
    if name not in SUITES:
        raise InputError(f"{where} must be one of {', '.join(SUITES)}, not {name!r}")


def suite(name: str) -> Suite:
    """A suite by its name. Imports its module, but not its simulator."""
    return importlib.import_module(SUITES[name]).SUITE


def suite_of(task: Environment) -> Suite:
    """A task's suite.

    Raises:
        InputError: there is no such suite.
    """
    refuse_unknown(task.suite, f"the suite of {task.name}")
    return suite(task.suite)


def make_environment(task: Environment) -> gymnasium.Env:
    """Make a task's environment, see `Suite.make`."""
    return suite_of(task).make(task.environment, task.horizon_steps)
