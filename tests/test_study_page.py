"""What a study's page says of its experiments."""

from typing import Any

from project import ROOT

from fisor.studies.page import without_effect
from fisor.studies.study import Experiment


def experiment(task: str, **changes: Any) -> Experiment:
    return Experiment("name", task, "FISOR", "variant", changes)


def test_changes_that_a_task_overrides_are_named() -> None:
    """Oracle: tasks.yaml by eye. PointRobot overrides all of the first three wherever it may.

    It leaves `hidden_layers` alone, and no task may override `tau`; BallRun overrides nothing.
    """
    overridden = {"policy_batch_size": 1024, "learning_rate": 1e-4, "hidden_units": 8}
    acting = {"hidden_layers": 1, "tau": 0.8, "tasks.yaml:PointRobot.cost_limit": 1}
    experiments = [
        experiment(task, **changes)
        for changes in (overridden, {"policy_batch_size": 64}, acting)
        for task in ("PointRobot", "BallRun")
    ]
    assert without_effect(experiments, ROOT / "tasks.yaml") == [
        "policy_batch_size on PointRobot",
        "learning_rate on PointRobot",
        "hidden_units on PointRobot",
    ]
