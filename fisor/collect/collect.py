"""Collecting a dataset with DSRL's fields, by the behaviour that the task's suite defines."""

from pathlib import Path

import numpy as np

from fisor.config.data import AcquireStage
from fisor.envs.suites import suite_of
from fisor.errors import InputError


def collect(task: AcquireStage, unfinished: Path) -> dict[str, np.ndarray]:
    """Collect a task's dataset.

    Args:
        task: what to collect, and where.
        unfinished: a folder from which an interrupted collection resumes; the caller removes it
            once the dataset is written.

    Returns:
        DSRL's fields, whole episodes one after another.

    Raises:
        InputError: the task's `acquire` lacks a key, the simulator cannot be used, or no collected
            episode is within the task's bounds.
    """
    scripted = suite_of(task).behaviour == "script"
    try:
        task.acquire.refuse_missing("seed")
        if scripted:
            task.acquire.refuse_missing("transitions")
        else:
            task.acquire.refuse_missing("environment_steps", "episodes", "highest_cost")
    except ValueError as error:
        raise InputError(f"tasks.yaml: `{task.name}.acquire` {error}") from None
    if scripted:
        from fisor.collect import point_robot

        assert task.acquire.transitions is not None
        assert task.acquire.seed is not None
        return point_robot.collect(task.acquire.transitions, task.acquire.seed)._asdict()
    from fisor.collect import exploring

    return exploring.collect(task, unfinished)
