"""The report's tables on episodes made by hand."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from simulated import task_of

from fisor.config.task import Acquire, Task
from fisor.envs.suites import SIMULATOR_RESULTS
from fisor.evaluation.intervals import (
    average_with_interval,
    mean_with_interval,
    spread_of_mean,
)
from fisor.report.results import Results
from fisor.report.tables import method_estimates, papers_figures, suite_section


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


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split("|")]


@pytest.fixture(scope="module")
def section(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """Two of the paper's tasks, not in its order, and one that it lacks; three methods."""
    collected = Acquire(source="collect", transitions=10, seed=0)
    elsewhere = dataclasses.replace(task_of("BallRun"), name="Elsewhere", acquire=collected)
    drone, hopper = (
        {"FISOR": episodes(0.5, 0.2), "BC": episodes(0.9, 3.0), "CPQ": episodes(0.6, 0.8)},
        {"FISOR": episodes(9.0, 9.0), "BC": episodes(9.0, 9.0), "CPQ": episodes(9.0, 9.0)},
    )
    ball = {
        "FISOR": episodes(0.25, 0.5, (0, 4)),
        "BC": episodes(0.75, 1.0, (8, 8)),
        "CPQ": episodes(0.125, 2.0, (1, 2)),
    }
    folder = tmp_path_factory.mktemp("rollouts")
    return suite_section(
        [
            written(folder, task_of("DroneRun"), drone),
            written(folder, elsewhere, hopper),
            written(folder, task_of("BallRun"), ball),
        ]
    )


def written(folder: Path, task: Task, methods: dict[str, pl.DataFrame]) -> Results:
    """A task's results, of which only the rollouts are there."""
    (folder / task.name).mkdir()
    rollouts = {method: folder / task.name / f"{method}.parquet" for method in methods}
    for method, rows in methods.items():
        rows.write_parquet(rollouts[method])
    nowhere = folder / "nowhere"
    return Results(task, nowhere, nowhere, nowhere, nowhere, rollouts)


def table(text: str, number: int) -> list[list[str]]:
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]
    return [cells(line) for line in blocks[number].strip().splitlines()]


def test_table_1_by_hand(section: tuple[dict[str, Any], str]) -> None:
    """The paper's order; bold below a cost of 1 and not at it; a star for the best of the safe."""
    heading, _, *rows = table(section[1], 0)
    assert heading == [
        *("task", "FISOR reward", "FISOR cost", "BC reward", "BC cost", "CPQ reward", "CPQ cost"),
        *("paper's FISOR reward", "paper's FISOR cost", "data"),
    ]
    assert [row[0] for row in rows] == ["BallRun", "DroneRun", "Elsewhere", "average of 2"]
    assert rows[0][1:7] == [
        *("**0.25** ★", "**0.50**"),
        *("0.75", "1.00"),
        *("0.12", "2.00"),
    ]
    assert rows[1][1] == "**0.50**"  # safe, but CPQ is safe and better
    assert rows[1][3] == "0.90"  # better still, but not safe
    assert rows[1][5] == "**0.60** ★"


def test_papers_column_and_source_of_the_data(section: tuple[dict[str, Any], str]) -> None:
    """Table 1's figures; a collected dataset cannot be taken for DSRL's."""
    _, _, *rows = table(section[1], 0)
    assert rows[0][7:] == ["**0.18**", "**0.00**", "DSRL's file `SafetyBallRun-v0-80-940.hdf5`"]
    assert rows[1][7:9] == ["**0.30**", "**0.55**"]
    assert rows[2][7:] == ["–", "–", "collected by stage `acquire`, not DSRL's"]


def test_averages_are_over_the_papers_tasks(section: tuple[dict[str, Any], str]) -> None:
    """The last row averages BallRun and DroneRun, ours and the paper's."""
    averages, text = section
    last = table(text, 0)[-1]
    assert last[1:3] == ["**0.38** ★", "**0.35**"]
    assert last[7:] == ["**0.24**", "**0.28**", "–"]  # 0.24 = (0.18 + 0.30) / 2
    assert averages["BC"]["normalised_cost"]["mean"] == 2.0


def test_violations_by_hand(section: tuple[dict[str, Any], str]) -> None:
    """BallRun: of FISOR's episodes half violate, 4 steps each; of BC's all, 8 steps each."""
    _, _, *rows = table(section[1], 1)
    # Two starts are one degree of freedom; four of four episodes: 1 - 0.025^(1/4).
    assert rows[0][1:5] == ["0.50 [0.00, 1.00]", "2.0 [0.0, 27.4]", "0.00 [0.00, 0.60]", "8.0"]
    assert rows[3][1].startswith("0.75 [")


def test_figures_without_a_known_truth() -> None:
    """Where nobody knows which starts are feasible, what needs it is not among the figures."""
    figures = method_estimates(episodes(0.5, 2.0, (0, 3)), SIMULATOR_RESULTS)
    assert figures["normalised_reward"].mean == 0.5
    assert figures["episodes_without_a_violation"].mean == 0.5
    assert figures["violating_steps"].mean == 1.5


def test_papers_averages_are_met() -> None:
    """The reference numbers, averaged over a suite's tasks, give the averages that it prints."""
    printed = {
        ("CarButton1 CarButton2 CarPush1 CarPush2 CarGoal1 CarGoal2 AntVelocity "
         "HalfCheetahVelocity SwimmerVelocity"): (0.30, 0.35),
        "AntRun BallRun CarRun DroneRun AntCircle BallCircle CarCircle DroneCircle": (0.39, 0.10),
        ("easysparse easymean easydense mediumsparse mediummean mediumdense hardsparse hardmean "
         "harddense"): (0.36, 0.25),
    }  # fmt: skip
    for names, (reward, cost) in printed.items():
        figures = [papers_figures(task_of(name)) for name in names.split()]
        means = {key: np.mean([figure[key] for figure in figures]) for key in figures[0]}
        assert means["normalised_reward"] == pytest.approx(reward, abs=0.006)
        assert means["normalised_cost"] == pytest.approx(cost, abs=0.006)


def test_average_over_tasks() -> None:
    """Tasks are drawn by themselves: two alike ones halve the variance, and the mean is theirs."""
    values = np.random.default_rng(0).normal(size=(5, 40))
    alone, both = mean_with_interval(values), average_with_interval([values, values])
    assert both.mean == pytest.approx(alone.mean)
    freedom = spread_of_mean(values).freedom
    students = stats.t.ppf(0.975, 2 * freedom) / stats.t.ppf(0.975, freedom)
    ratio = (both.high - both.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(students / np.sqrt(2))
    assert np.isnan(average_with_interval([values, np.full((2, 3), np.nan)])).all()
