"""The report's tables: a method's figures, and the paper's Table 1 for our runs, a suite each."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fisor.config.task import Task
from fisor.envs.suites import SIMULATOR_RESULTS, Bounds, Result, suite_of
from fisor.evaluation import intervals
from fisor.evaluation.intervals import Estimate
from fisor.report import data_card
from fisor.report.results import Results

PAPER_TABLE_1 = Path(__file__).with_name("paper_table1.csv")
SAFE_BELOW = 1.0  # normalised cost
NONE = "–"


def method_values(episodes: pl.DataFrame, results: Sequence[Result]) -> dict[str, np.ndarray]:
    """What each figure is the mean of.

    Args:
        episodes: the rows of one method on one task.
        results: the figures, such as a suite's.

    Returns:
        For each figure, its name with underscores, `[seeds, episodes]`; NaN where an episode does
        not count.
    """
    safe, reached, left = pl.col("violating_steps") == 0, pl.col("reached_goal"), pl.col("left_box")
    episodes = episodes.with_columns(
        violated=~safe,
        never_violated=safe,
        reached_safely=safe & reached,
        left_safely=safe & left,
        timed_out_safely=safe & ~reached & ~left,
    ).sort("seed", "episode")
    shape = (episodes["seed"].n_unique(), episodes["episode"].n_unique())
    feasible = episodes["truly_feasible"].fill_null(False).to_numpy()
    counts = {"all": np.ones(len(episodes), bool), "feasible": feasible, "infeasible": ~feasible}
    return {
        result.name.replace(" ", "_"): np.where(
            counts[result.starts], episodes[result.column].cast(pl.Float64).to_numpy(), np.nan
        ).reshape(shape)
        for result in results
    }


def method_estimates(episodes: pl.DataFrame, results: Sequence[Result]) -> dict[str, Estimate]:
    """The figures of one method on one task, with intervals; arguments as `method_values`."""
    values = method_values(episodes, results)
    bounds = bounds_of(results)
    return {name: intervals.mean_with_interval(v, bounds[name]) for name, v in values.items()}


def bounds_of(results: Sequence[Result]) -> dict[str, Bounds]:
    """The bounds of each figure, by its name with underscores."""
    return {result.name.replace(" ", "_"): result.bounds for result in results}


def suite_section(results: Sequence[Results]) -> tuple[dict[str, Any], str]:
    """The results of a suite: the paper's Table 1, and how often the constraint was violated.

    Args:
        results: of tasks of one suite, all of the same methods.

    Returns:
        The averages over tasks, method -> figure -> mean, low and high; and the section's text.
    """
    paper = _paper_table_1()
    order = {name: place for place, name in enumerate(paper)}
    tasks = sorted((r.task for r in results), key=lambda t: order.get(t.name, len(order)))
    values = {
        r.task.name: {m: method_values(r.episodes(m), SIMULATOR_RESULTS) for m in r.rollouts}
        for r in results
    }
    methods = list(results[0].rollouts)
    # The paper's average is over its own tasks; only over the same ones can ours stand beside it.
    averaged = [task for task in tasks if task.name in paper] or tasks
    lines = [(task.name, [task], data_card.source(task)) for task in tasks]
    lines.append((f"average of {len(averaged)}", averaged, NONE))
    bounds = bounds_of(SIMULATOR_RESULTS)
    table_1, violations = [], []
    averages: dict[str, dict[str, Estimate]] = {}
    for name, members, source in lines:
        estimates = {
            method: {
                figure: intervals.average_with_interval(
                    [values[task.name][method][figure] for task in members], bounds[figure]
                )
                for figure in values[members[0].name][method]
            }
            for method in methods
        }
        averages = estimates  # those of the last line
        row = {"task": name} | _scores(estimates)
        row |= _papers_scores([paper[task.name] for task in members if task.name in paper])
        table_1.append(row | {"data": source})
        violations.append({"task": name} | _violations(estimates))
    text = (
        f"## {suite_of(tasks[0]).title}\n\n"
        + markdown(pl.DataFrame(table_1))
        + "\n**Bold**: safe, a mean normalised cost below 1. ★: of our methods that are safe, the "
        "one of highest reward. The paper's figures are those of its Table 1; they were got from "
        "DSRL's files.\n\n" + markdown(pl.DataFrame(violations))
    )
    return {method: as_json(figures) for method, figures in averages.items()}, text


def papers_figures(task: Task) -> dict[str, float]:
    """FISOR's normalised reward and cost in the paper's Table 1; empty if it lacks the task."""
    return dict(_paper_table_1().get(task.name, {}))


def _paper_table_1() -> dict[str, dict[str, float]]:
    table = pl.read_csv(PAPER_TABLE_1, comment_prefix="#")
    return {row.pop("task"): row for row in table.to_dicts()}


def _scores(estimates: Mapping[str, Mapping[str, Estimate]]) -> dict[str, str]:
    """Table 1's cells: reward and cost of each method."""
    safe = {
        method: figures["normalised_reward"].mean
        for method, figures in estimates.items()
        if figures["normalised_cost"].mean < SAFE_BELOW
    }
    cells = {}
    for method, figures in estimates.items():
        best = method in safe and safe[method] == max(safe.values())
        for name in ("reward", "cost"):
            cell = shown(figures[f"normalised_{name}"], decimals=2)
            cell = f"**{cell}**" if method in safe else cell
            cells[f"{method} {name}"] = f"{cell} ★" if best and name == "reward" else cell
    return cells


def _papers_scores(rows: Sequence[Mapping[str, float]]) -> dict[str, str]:
    if not rows:
        return {"paper's FISOR reward": NONE, "paper's FISOR cost": NONE}
    means = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
    mark = "**" if means["normalised_cost"] < SAFE_BELOW else ""
    return {
        f"paper's FISOR {name}": f"{mark}{means[f'normalised_{name}']:.2f}{mark}"
        for name in ("reward", "cost")
    }


def _violations(estimates: Mapping[str, Mapping[str, Estimate]]) -> dict[str, str]:
    """How hard the constraint was held: episodes without a violation, and violating steps."""
    cells = {}
    for method, figures in estimates.items():
        without = figures["episodes_without_a_violation"]
        cells[f"{method}: share of episodes without any violation"] = shown(without, decimals=2)
        steps = figures["violating_steps"]
        cells[f"{method}: violating steps an episode"] = shown(steps, decimals=1)
    return cells


def as_json(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float]]:
    """Figures as metrics.json holds them."""
    return {name: estimate._asdict() for name, estimate in estimates.items()}


def shown(estimate: Estimate, decimals: int = 3) -> str:
    """A mean and its interval, if it has one, as a table shows them."""
    if math.isnan(estimate.mean):
        return NONE
    mean, low, high = (f"{value:.{decimals}f}" for value in estimate)
    return mean if math.isnan(estimate.low) else f"{mean} [{low}, {high}]"


def markdown(table: pl.DataFrame) -> str:
    """A table of strings in Markdown; underscores of its columns' names become spaces."""
    heading = [name.replace("_", " ") for name in table.columns]
    lines = [heading, ["---"] * len(heading), *table.rows()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
