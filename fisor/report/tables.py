"""A method's figures from its episodes, and tables in Markdown."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from fisor.config.task import Task
from fisor.envs.suites import Bounds, Result, suite_of
from fisor.evaluation import intervals
from fisor.evaluation.intervals import Estimate
from fisor.report.results import Results

NONE = "–"
NOT_RUN = "not run"
COST = "normalised_cost"
REWARD = "normalised_reward"


class Scored(NamedTuple):
    """The figures of a task.

    Attributes:
        task: its entry in tasks.yaml.
        methods: all that the report is of.
        values: method -> figure -> `[seeds, episodes]`; a method that has not run is not there.
        estimates: method -> figure -> its mean and interval.
    """

    task: Task
    methods: tuple[str, ...]
    values: Mapping[str, Mapping[str, np.ndarray]]
    estimates: Mapping[str, Mapping[str, Estimate]]


def scored(results: Results) -> Scored:
    """The figures that a task's suite shows, of all methods that have run."""
    figures = suite_of(results.task).results
    values = {m: method_values(results.episodes(m), figures) for m in results.ran}
    estimates = {method: estimated(of_method, figures) for method, of_method in values.items()}
    return Scored(results.task, tuple(results.rollouts), values, estimates)


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


def estimated(values: Mapping[str, np.ndarray], results: Sequence[Result]) -> dict[str, Estimate]:
    """The mean and interval of each figure of `method_values`."""
    bounds = bounds_of(results)
    return {name: intervals.mean_with_interval(v, bounds[name]) for name, v in values.items()}


def bounds_of(results: Sequence[Result]) -> dict[str, Bounds]:
    """The bounds of each figure, by its name with underscores."""
    return {result.name.replace(" ", "_"): result.bounds for result in results}


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
