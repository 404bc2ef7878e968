"""The environments in which policies are evaluated and data is collected: a module a suite."""

import importlib

import gymnasium

from fisor.tasks import Task


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
