"""Tasks with methods' scores made by hand."""

import dataclasses
from pathlib import Path

import polars as pl
from simulated import task_of

from fisor.config.task import Acquire, Task
from fisor.report.results import Results
from fisor.report.tables import Scored, scored


def episodes(reward: float, cost: float, violating_steps: tuple[int, int] = (0, 0)) -> pl.DataFrame:
    """Two seeds, two episodes; every seed has the same score, its episodes violate as given."""
    return pl.DataFrame(
        {
            "seed": [0, 0, 1, 1],
            "episode": [0, 1, 0, 1],
            "normalised_reward": [reward] * 4,
            "normalised_cost": [cost] * 4,
            "violating_steps": [*violating_steps] * 2,
            "truly_feasible": pl.Series([None] * 4, dtype=pl.Boolean),
            "reached_goal": pl.Series([None] * 4, dtype=pl.Boolean),
            "left_box": pl.Series([None] * 4, dtype=pl.Boolean),
        }
    )


def results_of(folder: Path, task: Task, methods: dict[str, pl.DataFrame | None]) -> Results:
    """A task's results, of which only the rollouts are there; None: the method has not run."""
    (folder / task.name).mkdir()
    rollouts = {method: folder / task.name / f"{method}.parquet" for method in methods}
    for method, rows in methods.items():
        if rows is not None:
            rows.write_parquet(rollouts[method])
    nowhere = folder / "nowhere"
    return Results(task, nowhere, nowhere, nowhere, nowhere, rollouts, {}, [nowhere])


def scored_tasks(folder: Path) -> list[Scored]:
    """Of four methods one is none of the paper's, and one has not run on BallRun.

    Three of the paper's tasks, not in its order, and one that it lacks, on collected data.
    """
    collected = Acquire(source="collect", transitions=10, seed=0)
    elsewhere = dataclasses.replace(task_of("BallRun"), name="Elsewhere", acquire=collected)
    of_tasks: list[tuple[Task, dict[str, pl.DataFrame | None]]] = [
        (
            task_of("DroneRun"),
            {
                "FISOR": episodes(0.5, 0.2),
                "BC": episodes(0.9, 3.0),
                "CPQ": episodes(0.6, 0.8),
                "own": episodes(0.6, 0.5),
            },
        ),
        (elsewhere, {name: episodes(9.0, 9.0) for name in ("FISOR", "BC", "CPQ", "own")}),
        (
            task_of("CarRun"),
            {
                "FISOR": episodes(1.0, 0.6),
                "BC": episodes(0.7, 1.0),
                "CPQ": episodes(0.5, 2.0),
                "own": episodes(0.1, 1.5),
            },
        ),
        (
            task_of("BallRun"),
            {
                "FISOR": episodes(0.25, 0.5, (0, 4)),
                "BC": episodes(0.75, 1.0, (8, 8)),
                "CPQ": episodes(0.125, 2.0, (1, 2)),
                "own": None,
            },
        ),
    ]
    return [scored(results_of(folder, task, methods)) for task, methods in of_tasks]
