"""A study's table: every figure in a long CSV, and a Markdown table laid out as the paper's."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from fisor.evaluation.intervals import Estimate
from fisor.report import safety
from fisor.report.tables import COST, NONE, NOT_RUN, markdown, shown
from fisor.studies.claims import RULE
from fisor.studies.study import Experiment, Study

DONE, FAILED = "done", "failed"
LONG = {
    "task": pl.String,
    "variant": pl.String,
    "figure": pl.String,
    "state": pl.String,
    "mean": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "paper": pl.Float64,
}


def estimate(
    metrics: Mapping[str, Any], task: str, method: str, column: str
) -> tuple[float | None, float | None, float | None]:
    """Mean, low and high of a figure of metrics.json: a method's, else the feasible region's.

    None for what is not there: a region's figures have no interval, and some tasks lack figures
    that others have.
    """
    of_task = metrics.get(task, {})
    of_method = of_task.get(method, {})
    if column in of_method:
        mean, low, high = (of_method[column][name] for name in Estimate._fields)
        return mean, low, high
    return of_task.get("feasible_region", {}).get(column, of_task.get(column)), None, None


def papers_figures(study: Study) -> dict[tuple[str, str, str], float]:
    """(task, variant, figure) -> the paper's figure, from the study's CSV file.

    Its columns are task, variant and figures; of a file with methods these are the variants.
    """
    if study.paper is None:
        return {}
    table = pl.read_csv(study.paper, comment_prefix="#").rename({"method": "variant"}, strict=False)
    figures = [name for name in table.columns if name not in ("task", "variant")]
    return {
        (row["task"], row["variant"], figure): row[figure]
        for row in table.to_dicts()
        for figure in figures
        if row[figure] is not None
    }


def long_table(
    study: Study,
    experiments: Sequence[Experiment],
    metrics: Mapping[str, Mapping[str, Any]],
) -> pl.DataFrame:
    """A row for each task, variant and figure.

    Args:
        study: whose columns.
        experiments: all that were asked for.
        metrics: metrics.json of those that are done, by name.

    Returns:
        Columns task, variant, figure, state (done, failed or not run), mean, low, high and paper. A
        table with one row per task also has the paper's other tasks.
    """
    paper = papers_figures(study)
    rows = []
    for e in experiments:
        state = DONE if e.name in metrics else FAILED
        for column in study.columns:
            mean, low, high = estimate(metrics.get(e.name, {}), e.task, e.method, column)
            papers = paper.pop((e.task, e.variant, column), None)
            rows.append((e.task, e.variant, column, state, mean, low, high, papers))
    if study.rows == "tasks":
        others = dict.fromkeys((task, variant) for task, variant, _ in paper)
        for (task, variant), column in itertools.product(others, study.columns):
            papers = paper.get((task, variant, column))
            rows.append((task, variant, column, NOT_RUN, None, None, None, papers))
    return pl.DataFrame(rows, schema=LONG, orient="row")


def known_figures(study: Study, long: pl.DataFrame) -> list[str]:
    """Those of a study's columns that any experiment or the paper has; else all."""
    known = long.filter(pl.any_horizontal(pl.col("mean", "paper").is_not_null()))["figure"]
    return [figure for figure in study.columns if figure in set(known)] or list(study.columns)


def study_table(study: Study, long: pl.DataFrame) -> str:
    """The Markdown table, one row per task or per variant; ours, then the paper's."""
    cells: dict[tuple[str, str, str], str] = {}
    papers: dict[tuple[str, str, str], str] = {}
    for task, variant, figure, state, mean, low, high, paper in long.rows():
        if mean is not None:
            ours = f"{mean:.3f}" if low is None else shown(Estimate(mean, low, high))
        else:
            ours = NONE if state == DONE else state
        cells[task, variant, figure] = ours
        papers[task, variant, figure] = NONE if paper is None else f"{paper:.2f}"
    tasks, variants = _distinct(long["task"]), _distinct(long["variant"])
    figures, with_paper = known_figures(study, long), long["paper"].is_not_null().any()
    rows = []
    if study.rows == "tasks":
        for task in tasks:
            row = {"task": task}
            for label, values in (("", cells), ("paper's ", papers))[: 2 if with_paper else 1]:
                missing = NONE if label else NOT_RUN
                for variant, figure in itertools.product(variants, figures):
                    key = f"{label}{variant}: {figure}"
                    row[key] = values.get((task, variant, figure), missing)
            rows.append(row)
    else:
        for task, variant in itertools.product(tasks, variants):
            row = {"task": task, "variant": variant}
            for figure in figures:
                row[figure] = cells[task, variant, figure]
                if with_paper:
                    row[f"paper's {figure}"] = papers[task, variant, figure]
            rows.append(row)
    return markdown(pl.DataFrame(rows))


def estimates_of(long: pl.DataFrame, task: str) -> dict[str, dict[str, Estimate]]:
    """Variant -> figure -> what its experiment on a task found."""
    found: dict[str, dict[str, Estimate]] = {}
    for row in long.filter(pl.col("mean").is_not_null(), task=task).to_dicts():
        low, high = (math.nan if row[end] is None else row[end] for end in ("low", "high"))
        found.setdefault(row["variant"], {})[row["figure"]] = Estimate(row["mean"], low, high)
    return found


def only_safe_in_words(only: str, long: pl.DataFrame) -> str:
    """Whether a variant is the only one that is safe on every task; empty if nothing is known."""
    costs: dict[str, dict[str, Estimate]] = {}
    for task in _distinct(long["task"]):
        for variant, figures in estimates_of(long, task).items():
            if COST in figures:
                costs.setdefault(variant, {})[task] = figures[COST]
    claim = safety.only_safe(costs, only)
    return safety.in_words(claim, only) if claim else ""


def _distinct(values: pl.Series) -> list[str]:
    return values.unique(maintain_order=True).to_list()


def claims_table(rows: Sequence[Mapping[str, Any]]) -> tuple[pl.DataFrame, str]:
    """The table of claims, as CSV's frame and as Markdown with the rule below it."""
    flat, shown_rows = [], []
    for row in rows:
        verdict = FAILED if row["difference"] is None else row["difference"].verdict
        line = {key: row[key] for key in ("claim", "measure", "lower", "higher")}
        figures: dict[str, Any] = dict.fromkeys(("mean", "low", "high"))
        cells = dict.fromkeys(("should be lower", "should be higher", "difference"), NONE)
        if row["difference"] is not None:
            lower, higher = row["lower_values"], row["higher_values"]
            figures = dict(zip(figures, row["difference"], strict=False))
            cells = {
                "should be lower": f"{row['lower']}: {_spread(lower)}",
                "should be higher": f"{row['higher']}: {_spread(higher)}",
                "difference": shown(Estimate(*row["difference"])),
            }
        seeds = 0 if row["difference"] is None else row["lower_values"].size
        flat.append(line | figures | {"seeds": seeds, "verdict": verdict})
        shown_rows.append(
            {"claim": row["claim"], "measure": row["measure"]}
            | cells
            | {"seeds": str(seeds), "verdict": f"**{verdict}**"}
        )
    return pl.DataFrame(flat), markdown(pl.DataFrame(shown_rows)) + f"\n{RULE}\n"


def _spread(values: Any) -> str:
    return f"{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})"


def write_csv(table: pl.DataFrame, path: Path) -> None:
    """Write a table with the digits that metrics.json has."""
    table.write_csv(path, float_precision=4)
