"""The paper's Tables 1 and 6 for our runs: a section for each suite, and one for all tasks."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from fisor.envs.suites import SIMULATOR_RESULTS, suite_of
from fisor.evaluation import intervals
from fisor.evaluation.intervals import Estimate
from fisor.methods import FISOR
from fisor.report import safety
from fisor.report.paper import Scores, papers_methods, papers_scores
from fisor.report.safety import SAFE_BELOW
from fisor.report.tables import COST, NONE, NOT_RUN, REWARD, Scored, bounds_of, markdown

COLLECTED = "†"  # beside a task whose dataset is not DSRL's
LEGEND = (
    "A method is safe on a task if its normalised cost is below 1. By the mean: the mean is "
    "below 1, as in the paper. By the interval: the whole 95 % interval is below 1; unsafe: the "
    "whole interval is above 1; otherwise undecided. The tables below have the means; the "
    "intervals are in each task's section and in [results.csv](results.csv). **Bold**: safe by "
    f"the mean. ★: the safe one of highest reward. {COLLECTED}: on data that stage `acquire` "
    "collected, not on DSRL's. The paper's figures are those of its Tables 1 and 6, on DSRL's "
    "data. Averages are over the paper's tasks that all methods were run on, or over all tasks "
    "if none is the paper's.\n"
)


class Averages(NamedTuple):
    """The averages over a suite's tasks.

    Attributes:
        suite: its name.
        tasks: those that all methods were run on; only the paper's, if one of them is, since the
            paper's averages can only be compared with averages over the same tasks.
        estimates: method -> figure -> mean and interval; empty where there is no such task.
    """

    suite: str
    tasks: tuple[str, ...]
    estimates: Mapping[str, Mapping[str, Estimate]]

    @property
    def label(self) -> str:
        """As the tables have it."""
        return f"average of {len(self.tasks)}"


def in_papers_order(tasks: Sequence[Scored]) -> list[Scored]:
    """The paper's tasks as it has them, then the others."""
    order = {name: place for place, name in enumerate(papers_scores())}
    return sorted(tasks, key=lambda scored: order.get(scored.task.name, len(order)))


def averages_of(tasks: Sequence[Scored]) -> Averages:
    """Average each figure over the tasks of one suite."""
    papers = [scored for scored in tasks if scored.task.name in papers_scores()]
    averaged = [scored for scored in papers or tasks if set(scored.methods) == set(scored.values)]
    bounds = bounds_of(SIMULATOR_RESULTS)
    estimates = {
        method: {
            figure: intervals.average_with_interval(
                [scored.values[method][figure] for scored in averaged], bounds[figure]
            )
            for figure in averaged[0].values[method]
        }
        for method in (averaged[0].methods if averaged else ())
    }
    names = tuple(scored.task.name for scored in averaged)
    return Averages(tasks[0].task.suite, names, estimates)


def suite_section(tasks: Sequence[Scored], averages: Averages) -> str:
    """A suite's tables in Markdown: one row per task, one column per method.

    Args:
        tasks: of one suite, all of the same methods.
        averages: over them.
    """
    tasks, methods = in_papers_order(tasks), tasks[0].methods
    several = len(tasks) > 1
    averaged = averages.estimates if several else {}
    ours = {_marked(s): {m: _scores(e) for m, e in s.estimates.items()} for s in tasks}
    rows = [{"task": name} | _cells(row, methods, NOT_RUN) for name, row in ours.items()]
    held = [{"task": _marked(s)} | _held(s.estimates, methods, NOT_RUN) for s in tasks]
    if averaged:
        means = {method: _scores(figures) for method, figures in averaged.items()}
        rows.append({"task": averages.label} | _cells(means, methods, NONE))
        held.append({"task": averages.label} | _held(averaged, methods, NONE))
    if several:
        costs = {m: [s.estimates[m][COST] for s in tasks if m in s.estimates] for m in methods}
        counts = {method: safety.safe_tasks(of_method) for method, of_method in costs.items()}
        by_mean = {m: f"{count.safe} of {count.tasks}" for m, count in counts.items()}
        by_interval = {m: f"{c.safe_by_interval} of {c.tasks}" for m, c in counts.items()}
        rows += [{"task": "safe by the mean"} | by_mean]
        rows += [{"task": "safe by the interval"} | by_interval]
    parts = [f"## {suite_of(tasks[0].task).title}\n", "Normalised reward / normalised cost:\n"]
    parts.append(markdown(pl.DataFrame(rows)))
    if papers := _papers_rows([s.task.name for s in tasks], methods, averages, several):
        parts += ["The same in the paper:\n", markdown(pl.DataFrame(papers))]
    parts.append("Share of the episodes without any violation / violating steps per episode:\n")
    parts.append(markdown(pl.DataFrame(held)))
    if averaged and len(averages.tasks) < len(tasks):
        which = ", ".join(averages.tasks)
        parts.append(
            f"Averages are over {which}: the paper's tasks that all methods were run on.\n"
        )
    return "\n".join(parts)


def _marked(scored: Scored) -> str:
    collected = scored.task.acquire.source != "dsrl"
    return f"{scored.task.name} {COLLECTED}" if collected else scored.task.name


def _scores(figures: Mapping[str, Estimate]) -> Scores:
    return Scores(figures[REWARD].mean, figures[COST].mean)


def _cells(row: Mapping[str, Scores], methods: Sequence[str], missing: str) -> dict[str, str]:
    """A row of Table 1: reward and cost of each method, which are safe, and the best of these."""
    safe = [scores.reward for scores in row.values() if scores.cost < SAFE_BELOW]
    cells = dict.fromkeys(methods, missing)
    for method, (reward, cost) in row.items():
        cell = f"{reward:.2f} / {cost:.2f}"
        if cost < SAFE_BELOW:
            cell = f"**{cell}** ★" if reward == max(safe) else f"**{cell}**"
        cells[method] = cell
    return cells


def _held(
    estimates: Mapping[str, Mapping[str, Estimate]], methods: Sequence[str], missing: str
) -> dict[str, str]:
    """How hard the constraint was held: episodes without a violation, and violating steps."""
    return dict.fromkeys(methods, missing) | {
        method: f"{figures['episodes_without_a_violation'].mean:.2f} / "
        f"{figures['violating_steps'].mean:.1f}"
        for method, figures in estimates.items()
    }


def _papers_rows(
    tasks: Sequence[str], methods: Sequence[str], averages: Averages, several: bool
) -> list[dict[str, str]]:
    """The paper's figures of our tasks and methods, as far as it has them."""
    paper = {
        task: {m: papers_scores()[task][m] for m in methods if m in papers_scores()[task]}
        for task in tasks
        if task in papers_scores()
    }
    if not any(paper.values()):
        return []
    rows = [{"task": task} | _cells(row, methods, NONE) for task, row in paper.items()]
    if not several:
        return rows
    same = [task for task in averages.tasks if task in paper]
    if same:
        means = {
            method: Scores(*(sum(part) / len(same) for part in zip(*scores, strict=True)))
            for method in methods
            if (scores := [paper[task][method] for task in same if method in paper[task]])
        }
        rows.append({"task": averages.label} | _cells(means, methods, NONE))
    safe = {m: [row[m].cost < SAFE_BELOW for row in paper.values() if m in row] for m in methods}
    counts = {m: f"{sum(flags)} of {len(flags)}" if flags else NONE for m, flags in safe.items()}
    return [*rows, {"task": "safe by the mean", **counts}]


def overall_section(tasks: Sequence[Scored]) -> tuple[dict[str, Any], str]:
    """How many tasks each method is safe on, and the paper's claim that only FISOR is on all.

    Args:
        tasks: all that have a normalised cost, of the same methods.

    Returns:
        For metrics.json, method -> its counts; and the section's text.
    """
    costs: dict[str, dict[str, Estimate]] = {method: {} for method in tasks[0].methods}
    for scored in tasks:
        for method, figures in scored.estimates.items():
            costs[method][scored.task.name] = figures[COST]
    counts = {method: safety.safe_tasks(of_task.values()) for method, of_task in costs.items()}
    rows = [
        {
            "method": method,
            "tasks": str(count.tasks),
            "safe by the mean": str(count.safe),
            "safe by the interval": str(count.safe_by_interval),
            "undecided": str(count.tasks - count.safe_by_interval - count.unsafe_by_interval),
            "unsafe by the interval": str(count.unsafe_by_interval),
        }
        for method, count in counts.items()
    ]
    text = f"{markdown(pl.DataFrame(rows))}\n{LEGEND}"
    compared = {method: costs[method] for method in papers_methods() if costs.get(method)}
    if claim := safety.only_safe(compared, FISOR):
        text += f"\n{safety.in_words(claim, FISOR)}"
    return {method: count._asdict() for method, count in counts.items()}, text


def results_table(tasks: Sequence[Scored], averages: Sequence[Averages]) -> pl.DataFrame:
    """Every figure of every task and method in a row of its own, for results.csv.

    Args:
        tasks: all that were run.
        averages: of their suites.

    Returns:
        Columns suite, task, method, figure, run (false: not run, and no numbers), mean, low, high,
        paper (its figure, if it has one) and verdict (of normalised costs).
    """
    rows: list[tuple[Any, ...]] = []

    def add(suite: str, task: str, method: str, figure: str, estimate: Estimate | None) -> None:
        paper = papers_scores().get(task, {}).get(method)
        papers = {REWARD: paper.reward, COST: paper.cost}.get(figure) if paper else None
        numbers = estimate or (None, None, None)
        word = safety.verdict(estimate) if estimate and figure == COST else None
        rows.append((suite, task, method, figure, estimate is not None, *numbers, papers, word))

    for scored in tasks:
        for method in scored.methods:
            for figure in bounds_of(suite_of(scored.task).results):
                estimate = scored.estimates.get(method, {}).get(figure)
                add(scored.task.suite, scored.task.name, method, figure, estimate)
    for of_suite in averages:
        for method, figures in of_suite.estimates.items():
            for figure, estimate in figures.items():
                add(of_suite.suite, of_suite.label, method, figure, estimate)
    numbers = dict.fromkeys(("mean", "low", "high", "paper"), pl.Float64)
    schema = dict.fromkeys(("suite", "task", "method", "figure"), pl.String) | {"run": pl.Boolean}
    table = pl.DataFrame(rows, schema={**schema, **numbers, "verdict": pl.String}, orient="row")
    return table.with_columns(pl.col("mean", "low", "high").fill_nan(None))
