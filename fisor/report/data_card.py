"""A dataset's section in the report: where it is from, what it holds, return against cost."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from fisor.config.task import Task
from fisor.data.coverage import ENOUGH, coverage
from fisor.errors import InputError
from fisor.report import plots


class Card(NamedTuple):
    """What a dataset holds.

    Attributes:
        summary: its figures, for metrics.json.
        rows: the same in words: name -> value.
        returns: `[episodes]`.
        costs: `[episodes]`.
    """

    summary: dict[str, Any]
    rows: dict[str, str]
    returns: np.ndarray
    costs: np.ndarray


def card(task: Task, labels: Path) -> Card:
    """Read what stage `label` found out about a dataset.

    Args:
        task: whose dataset it is.
        labels: the folder that stage `label` made.

    Raises:
        InputError: a file of `labels` is not there.
    """
    for name in ("summary.json", "episodes.parquet"):
        if not (labels / name).exists():
            raise InputError(f"{labels / name}: there is no such file; `dvc repro` makes it")
    summary = json.loads((labels / "summary.json").read_text(encoding="utf-8"))
    episodes = pl.read_parquet(labels / "episodes.parquet")
    all_returns, all_costs = episodes["returns"].to_numpy(), episodes["costs"].to_numpy()
    count, low, high = summary["episodes"], *task.reference_returns
    safe, within = summary["safe_episodes"], summary["episodes_within_cost_limit"]
    returns = f"{summary['lowest_return']:.2f} to {summary['highest_return']:.2f}"
    rows = {
        "source": source(task),
        "episodes": f"{count:,}",
        "transitions": f"{summary['transitions']:,}",
        "return of an episode": returns,
        "returns of normalised reward 0 and 1": f"{low:.2f} and {high:.2f}",
        "cost of an episode": f"{summary['lowest_cost']:.2f} to {summary['highest_cost']:.2f}",
        f"episodes within the cost limit of {task.cost_limit:g}": _share(within, count),
        "episodes without a violation": _share(safe, count),
        "transitions that violate": f"{100 * summary['violating_transitions_share']:.1f} %",
    }
    highest_cost = task.acquire.highest_cost
    if task.acquire.source == "collect" and highest_cost is not None:
        reference = task.reference_returns
        covered = coverage(task.name, reference, highest_cost, all_returns, all_costs)
        summary["covered_share_of_returns"] = covered.return_share
        summary["covered_share_of_costs"] = covered.cost_share
        rows["covered of the returns of normalised reward 0 to 1"] = _covered(covered.return_share)
        rows[f"covered of the costs 0 to {highest_cost:g}"] = _covered(covered.cost_share)
    if changes := {name: number for name, number in summary["changes"].items() if number}:
        rows["changed on conversion"] = ", ".join(
            f"{name.replace('_', ' ')}: {number:,}" for name, number in changes.items()
        )
    return Card(summary, rows, all_returns, all_costs)


def section(task: Task, found: Card, picture: Path, link: str) -> str:
    """Draw a dataset's picture and describe it.

    Args:
        task: whose dataset it is.
        found: its card.
        picture: the file to draw.
        link: of the picture, as the text has it.

    Returns:
        The Markdown.
    """
    plots.return_against_cost(
        picture, task.name, found.returns, found.costs, task.cost_limit, task.reference_returns
    )
    table = "\n".join(f"| {name} | {value} |" for name, value in found.rows.items())
    return (
        f"### Data\n\n| {task.name} | |\n| --- | --- |\n{table}\n\n"
        f"![Return against cost]({link})\n\n"
        "*The dataset, one point per episode: return against cost. Dashed: the cost limit; dotted: "
        "the returns of normalised reward 0 and 1.*\n"
    )


def source(task: Task) -> str:
    """Where a task's dataset comes from, in words, so that none is mistaken for another."""
    if task.acquire.source == "dsrl":
        return f"DSRL's file `{task.acquire.file}`"
    return "collected by stage `acquire`, not DSRL's"


def _covered(share: float) -> str:
    poor = "" if share >= ENOUGH else " (**less than half**: more `environment_steps` may help)"
    return f"{100 * share:.0f} %{poor}"


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / whole:.1f} %)"
