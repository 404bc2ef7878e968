"""The environments in which policies are evaluated and data is collected: a module a suite."""

import importlib
from typing import NamedTuple

import gymnasium
import numpy as np

from fisor.tasks import Task


class Episode(NamedTuple):
    """Which episode it is.

    Attributes:
        seed: the training seed whose policy acts.
        episode: its number, from 0.
        reset_seed: what the environment is reset with.
    """

    seed: int
    episode: int
    reset_seed: int


class Outcome(NamedTuple):
    """What one step of B episodes in flight gives; rows without an episode hold anything.

    Attributes:
        observations: `[B, obs_dim]` float32.
        rewards: `[B]`.
        costs: `[B]` cost of the state after the step.
        over: `[B]` bool, whether the episode ended.
        started: `[B]` bool, whether the observation is an episode's first: it was to start, or its
            simulator failed and it starts again.
        reached_goal: `[B]` bool; None where there is no goal.
    """

    observations: np.ndarray
    rewards: np.ndarray
    costs: np.ndarray
    over: np.ndarray
    started: np.ndarray
    reached_goal: np.ndarray | None


def make_environment(task: Task) -> gymnasium.Env:
    """Make a task's environment; its suite's simulator is imported only now.

    Args:
        task: an entry of tasks.yaml.

    Returns:
        An environment with actions in [-1, 1], float32 observations, the step's cost in
        `info["cost"]` and the task's time limit. `reset(seed=...)` reproduces an episode exactly.

    Raises:
        InputError: the simulator cannot be imported, or does not have the environment.
    """
    return importlib.import_module(f"fisor.envs.{task.suite}").make(
        task.environment, task.horizon_steps
    )
