"""Collecting a dataset with DSRL's fields, by the behaviour that the task's suite defines."""

from pathlib import Path

import numpy as np

from fisor.collect import parts
from fisor.config.data import AcquireStage
from fisor.envs.suites import suite_of
from fisor.errors import InputError


def collect(task: AcquireStage, part: str, unfinished: Path) -> dict[str, np.ndarray]:
    """Collect a task's dataset, or a part of it.

    Args:
        task: what to collect, and where.
        part: `all`, or the number of the learner whose episodes are the part.
        unfinished: a folder from which an interrupted collection resumes; the caller removes it
            once the dataset is written.

    Returns:
        DSRL's fields, whole episodes one after another; of one learner all of its episodes, with
        the arrays of `thinning.Piece`. Nothing for a part of a dataset that comes from no learners,
        but the first one, which is the dataset.

    Raises:
        InputError: the task's `acquire` lacks a key, the simulator cannot be used, or no collected
            episode is within the task's bounds.
    """
    behaviour = suite_of(task).behaviour
    try:
        task.acquire.refuse_missing("seed")
        if behaviour == "script":
            task.acquire.refuse_missing("transitions")
        else:
            task.acquire.refuse_missing("environment_steps", "episodes", "highest_cost")
    except ValueError as error:
        raise InputError(f"tasks.yaml: `{task.name}.acquire` {error}") from None
    if behaviour != "learners" and not parts.holds_undivided(part):
        return {}
    if behaviour == "script":
        from fisor.collect import point_robot

        assert task.acquire.transitions is not None
        assert task.acquire.seed is not None
        return point_robot.collect(task.acquire.transitions, task.acquire.seed)._asdict()
    from fisor.collect import exploring

    if behaviour == "learners" and part != parts.WHOLE:
        return exploring.collect_by_learner(task, int(part), unfinished)
    return exploring.collect(task, unfinished)
