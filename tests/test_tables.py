"""The report's tables on episodes made by hand."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scored_tasks import episodes, results_of, scored_tasks
from simulated import task_of

from fisor.errors import InputError
from fisor.evaluation.intervals import (
    average_with_interval,
    mean_with_interval,
    spread_of_mean,
)
from fisor.report import benchmark
from fisor.report.tables import Scored, scored


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[Scored]:
    return scored_tasks(tmp_path_factory.mktemp("rollouts"))


@pytest.fixture(scope="module")
def tables(tasks: list[Scored]) -> list[list[list[str]]]:
    """The cells of the suite's three tables: ours, the paper's, and how the constraint was held."""
    text = benchmark.suite_section(tasks, benchmark.averages_of(tasks))
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]
    return [[cells(line) for line in block.strip().splitlines()] for block in blocks]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split("|")]


def test_our_scores_by_hand(tables: list[list[list[str]]]) -> None:
    """The paper's order; bold below a cost of 1 and not at it; a star for the best of the safe.

    What has not run says so. BallRun is not in the average, since one method lacks it, nor is the
    task that the paper lacks: CarRun and DroneRun are.
    """
    assert tables[0] == [
        ["task", "FISOR", "BC", "CPQ", "own"],
        ["---"] * 5,
        ["BallRun", "**0.25 / 0.50** ★", "0.75 / 1.00", "0.12 / 2.00", "not run"],
        ["CarRun", "**1.00 / 0.60** ★", "0.70 / 1.00", "0.50 / 2.00", "0.10 / 1.50"],
        ["DroneRun", "**0.50 / 0.20**", "0.90 / 3.00", "**0.60 / 0.80** ★", "**0.60 / 0.50** ★"],
        ["Elsewhere †", *["9.00 / 9.00"] * 4],
        ["average of 2", "**0.75 / 0.40** ★", "0.80 / 2.00", "0.55 / 1.40", "0.35 / 1.00"],
        ["safe by the mean", "3 of 4", "0 of 4", "1 of 4", "1 of 3"],
        ["safe by the interval", "3 of 4", "0 of 4", "1 of 4", "1 of 3"],
    ]


def test_papers_scores_stand_below_in_the_same_columns(tables: list[list[list[str]]]) -> None:
    """Its Table 1, the average over the same tasks as ours, a dash for a method that it lacks."""
    assert tables[1] == [
        ["task", "FISOR", "BC", "CPQ", "own"],
        ["---"] * 5,
        ["BallRun", "**0.18 / 0.00** ★", "0.67 / 11.38", "0.85 / 13.67", "–"],
        ["CarRun", "**0.73 / 0.14** ★", "0.96 / 1.88", "1.06 / 10.49", "–"],
        ["DroneRun", "**0.30 / 0.55** ★", "0.55 / 5.21", "0.02 / 7.95", "–"],
        # (0.73 + 0.30) / 2, (0.14 + 0.55) / 2; (0.96 + 0.55) / 2, ...
        ["average of 2", "**0.52 / 0.35** ★", "0.76 / 3.54", "0.54 / 9.22", "–"],
        ["safe by the mean", "3 of 3", "0 of 3", "0 of 3", "–"],
    ]


def test_violations_by_hand(tables: list[list[list[str]]]) -> None:
    """BallRun: of FISOR's episodes half violate, 4 steps each; of BC's all, 8 steps each."""
    assert tables[2][2] == ["BallRun", "0.50 / 2.0", "0.00 / 8.0", "0.00 / 1.5", "not run"]
    assert tables[2][-1] == ["average of 2", *["1.00 / 0.0"] * 4]


def test_a_suite_without_the_papers_methods(tasks: list[Scored]) -> None:
    """No table of the paper's, and averages over all tasks where it has none of them."""
    (elsewhere,) = [task for task in tasks if task.task.name == "Elsewhere"]
    own = elsewhere._replace(
        methods=("own",), values={"own": elsewhere.values["own"]},
        estimates={"own": elsewhere.estimates["own"]},
    )  # fmt: skip
    text = benchmark.suite_section([own], benchmark.averages_of([own]))
    assert "paper" not in text
    assert "| Elsewhere † | 9.00 / 9.00 |" in text
    assert benchmark.averages_of([own]).tasks == ("Elsewhere",)


def test_no_task_that_all_were_run_on_has_no_average(tasks: list[Scored]) -> None:
    """BallRun alone, where a method has not run."""
    two = [task for task in tasks if task.task.name in ("BallRun", "Elsewhere")]
    averages = benchmark.averages_of(two)
    assert averages.estimates == {}
    text = benchmark.suite_section(two, averages)
    assert "average" not in text
    assert "| safe by the mean | 1 of 2 | 0 of 2 | 0 of 2 | 0 of 1 |" in text


def test_every_figure_has_a_row_in_the_long_table(tasks: list[Scored]) -> None:
    """Four tasks and an average, four methods, four figures; the paper's figure beside ours."""
    table = benchmark.results_table(tasks, [benchmark.averages_of(tasks)])
    assert table.height == (4 + 1) * 4 * 4
    steps = table.row(
        by_predicate=(pl.col("task") == "BallRun")
        & (pl.col("method") == "FISOR")
        & (pl.col("figure") == "violating_steps"),
        named=True,
    )
    # Two starts are one degree of freedom: 2 +- 12.706 * 2, cut at 0.
    assert steps["mean"] == 2
    assert steps["low"] == 0
    assert steps["high"] == pytest.approx(27.41, abs=0.01)
    cost = table.filter(task="DroneRun", figure="normalised_cost").select(
        "method", "run", "mean", "low", "paper", "verdict"
    )
    assert cost.rows() == [
        ("FISOR", True, 0.2, None, 0.55, "safe"),
        ("BC", True, 3.0, None, 5.21, "unsafe"),
        ("CPQ", True, 0.8, None, 7.95, "safe"),
        ("own", True, 0.5, None, None, "safe"),
    ]
    missing = table.filter(task="BallRun", method="own")
    assert missing["run"].to_list() == [False] * 4
    assert missing["mean"].null_count() == missing["verdict"].null_count() == 4
    assert table.filter(task="average of 2", method="FISOR", figure="normalised_reward")[
        "mean"
    ].to_list() == [0.75]


def test_safe_tasks_and_the_claim_by_hand(tasks: list[Scored]) -> None:
    """Over all four tasks; the claim is about the paper's methods alone."""
    counts, text = benchmark.overall_section(tasks)
    names = ("safe", "safe_by_interval", "unsafe_by_interval", "tasks")
    assert counts == {
        "FISOR": dict(zip(names, (3, 3, 1, 4), strict=True)),
        "BC": dict(zip(names, (0, 0, 2, 4), strict=True)),
        "CPQ": dict(zip(names, (1, 1, 3, 4), strict=True)),
        "own": dict(zip(names, (1, 1, 2, 3), strict=True)),
    }
    assert "| BC | 4 | 0 | 0 | 2 | 2 |" in text  # a cost of exactly 1 is undecided
    assert "safe on every task: **opposite seen**, on the 4 tasks" in text
    assert "lies above 1 on some task for BC, CPQ, FISOR.\n" in text
    without = [task for task in tasks if task.task.name != "Elsewhere"]
    text = benchmark.overall_section(without)[1]
    assert "safe on every task: **seen**, on the 3 tasks" in text
    assert "below 1 on every task for FISOR; above 1 on some task for BC, CPQ.\n" in text


def test_a_task_on_which_nothing_has_run_is_refused(tmp_path: Path) -> None:
    """A table of nothing is no report."""
    with pytest.raises(InputError, match=r"FISOR\.parquet: there is no such file; `dvc repro`"):
        scored(results_of(tmp_path, task_of("BallRun"), {"FISOR": None, "BC": None}))


def test_figures_without_a_known_truth(tmp_path: Path) -> None:
    """Where nobody knows which starts are feasible, what needs it is not among the figures."""
    rows = {"FISOR": episodes(0.5, 2.0, (0, 3))}
    figures = scored(results_of(tmp_path, task_of("BallRun"), dict(rows))).estimates["FISOR"]
    assert figures["normalised_reward"].mean == 0.5
    assert figures["episodes_without_a_violation"].mean == 0.5
    assert figures["violating_steps"].mean == 1.5
    assert len(figures) == 4


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
