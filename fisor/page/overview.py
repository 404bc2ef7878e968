"""The page's part on all tasks: verdict, table, reward against cost, the field's aggregates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fisor.envs.suites import suite_of
from fisor.evaluation import aggregates
from fisor.methods import FISOR
from fisor.page import charts
from fisor.page.cells import MISSING, Cell, estimate_cell, scores_cell
from fisor.report import safety
from fisor.report.benchmark import COLLECTED, in_papers_order
from fisor.report.paper import papers_methods
from fisor.report.safety import SAFE, SAFE_BELOW, UNDECIDED, UNSAFE, verdict
from fisor.report.scatter import points_of
from fisor.report.tables import COST, NONE, REWARD, Scored

LEVELS = 101  # of a profile


def verdicts(tasks: Sequence[Scored]) -> list[str]:
    """Which methods are safe on which tasks, in a sentence or two.

    Args:
        tasks: all, of the same methods.
    """
    said = []
    limited = [s for s in tasks if _limited(s)]
    if limited:
        words: dict[str, dict[str, str]] = {method: {} for method in limited[0].methods}
        for one in limited:
            for method, figures in one.estimates.items():
                words[method][one.task.name] = verdict(figures[COST])
        number = f"all {len(limited)} tasks" if len(limited) > 1 else limited[0].task.name
        if len(limited) < len(tasks):
            number += " with a cost limit" if len(limited) > 1 else ""
        groups: dict[str, list[str]] = {SAFE: [], UNSAFE: [], UNDECIDED: []}
        for method, found in words.items():
            bad = list(found.values()).count(UNSAFE)
            if bad:
                of = f" ({bad} of {len(found)} tasks)" if len(found) > 1 else ""
                groups[UNSAFE].append(method + of)
            elif found:
                groups[SAFE if set(found.values()) == {SAFE} else UNDECIDED].append(method)
        if groups[SAFE]:
            said.append(f"Safe on {number}: {_listed(groups[SAFE])}.")
        else:
            said.append(f"No method is certain to be safe on {number}.")
        if groups[UNSAFE]:
            said.append(f"Unsafe: {_listed(groups[UNSAFE])}.")
        if groups[UNDECIDED]:
            said.append(f"Undecided: {_listed(groups[UNDECIDED])}.")
    for one in tasks:
        if not _limited(one) and (text := _without_limit(one)):
            said.append(text)
    return said


def _without_limit(one: Scored) -> str:
    figure = "violation_from_feasible_starts"
    found = {m: f[figure] for m, f in one.estimates.items() if figure in f}
    if not found:
        return ""
    listed = _listed([f"{m} in {100 * e.mean:.0f} %" for m, e in found.items()])
    return (
        f"On {one.task.name}, from starts where safety is possible, these violate: {listed} of the "
        "episodes."
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _limited(one: Scored) -> bool:
    return any(COST in figures for figures in one.estimates.values())


def matrix(tasks: Sequence[Scored]) -> tuple[list[str], list[list[Cell]]]:
    """Table 1: a row for each task with a cost limit, a column for each method.

    Returns:
        Headings and rows; no rows where no task has a limit.
    """
    limited = in_papers_order([s for s in tasks if _limited(s)])
    if not limited:
        return [], []
    methods = limited[0].methods
    rows = []
    for one in limited:
        safe = {m: f[COST].mean < SAFE_BELOW for m, f in one.estimates.items()}
        best = max((f[REWARD].mean for m, f in one.estimates.items() if safe[m]), default=None)
        mark = "" if one.task.acquire.source == "dsrl" else f" {COLLECTED}"
        row = [Cell(one.task.name + mark)]
        for method in methods:
            figures = one.estimates.get(method)
            if figures is None:
                row.append(MISSING)
                continue
            kind = "unsafe" if not safe[method] else "safe"
            if safe[method] and figures[REWARD].mean == best:
                kind = "best"
            row.append(scores_cell(figures[REWARD], figures[COST], kind))
        rows.append(row)
    return ["task", *methods], rows


def details(tasks: Sequence[Scored]) -> tuple[list[str], list[list[Cell]]]:
    """A row for each task and method, with what all tasks have in common."""
    rows = []
    for one in in_papers_order(tasks):
        for method in one.methods:
            figures = one.estimates.get(method)
            cells: list[Cell] = [Cell(one.task.name), Cell(method)]
            for name in (REWARD, COST, "violating_steps"):
                known = figures.get(name) if figures else None
                lacking = MISSING if figures is None else Cell(NONE, kind="none")
                cells.append(lacking if known is None else estimate_cell(known))
            cost = figures.get(COST) if figures else None
            cells.append(Cell(verdict(cost)) if cost else Cell(NONE, kind="none"))
            rows.append(cells)
    headings = ["task", "method", "normalised reward", "normalised cost", "violating steps", "safe"]
    return headings, rows


def task_table(one: Scored) -> tuple[list[str], list[list[Cell]]]:
    """A task's own figures: a row for each method."""
    names = [result.name for result in suite_of(one.task).results]
    rows = []
    for method in one.methods:
        figures = one.estimates.get(method)
        cells = (
            [MISSING] * len(names)
            if figures is None
            else [estimate_cell(figures[name.replace(" ", "_")]) for name in names]
        )
        rows.append([Cell(method), *cells])
    return ["method", *names], rows


def scatter(tasks: Sequence[Scored]) -> list[dict[str, Any]]:
    """Reward against cost: label and chart of each task."""
    return [
        {
            "label": f"{one.task.name}: reward against cost of each method",
            "chart": charts.reward_against_cost(points_of(one.task.name, one.estimates)),
        }
        for one in in_papers_order(tasks)
    ]


def aggregate_charts(tasks: Sequence[Scored]) -> list[dict[str, Any]]:
    """The field's aggregates, over the tasks with a cost limit that all methods were run on."""
    used = [s for s in tasks if _limited(s) and set(s.methods) == set(s.values)]
    if not used:
        return []
    methods = used[0].methods
    rewards = {m: [s.values[m][REWARD].mean(axis=1) for s in used] for m in methods}
    costs = {m: [s.values[m][COST].mean(axis=1) for s in used] for m in methods}
    found = []

    def add(label: str, chart: dict[str, Any]) -> None:
        found.append({"label": label, "chart": chart})

    for what, values in (("normalised reward", rewards), ("normalised cost", costs)):
        of = {m: aggregates.estimate(aggregates.interquartile_mean, v) for m, v in values.items()}
        add(
            f"Interquartile mean of the {what}",
            charts.intervals(f"Interquartile mean: {what}", what, of),
        )
    worst = {m: aggregates.estimate(aggregates.worst_seed, v) for m, v in costs.items()}
    add(
        "Cost of the worst seed",
        charts.intervals("Worst training seed on any task", "normalised cost", worst),
    )
    safe = {m: _share_of_safe(v) for m, v in costs.items()}
    add("Safe tasks", charts.intervals("Tasks with a cost below the limit", "tasks", safe))
    if FISOR in methods and len(methods) > 1:
        wins = {
            m: aggregates.estimate(aggregates.probability_of_improvement, rewards[FISOR], v)
            for m, v in rewards.items()
            if m != FISOR
        }
        add(
            "Probability of improvement",
            charts.intervals(f"{FISOR}'s reward above the method's", "probability", wins),
        )
        less = {
            m: aggregates.estimate(aggregates.probability_of_improvement, v, costs[FISOR])
            for m, v in costs.items()
            if m != FISOR
        }
        add(
            "Probability of a lower cost",
            charts.intervals(f"{FISOR}'s cost below the method's", "probability", less),
        )
    add(
        "Performance profile of the reward",
        _profile(rewards, "Runs with a reward above", "normalised reward", True),
    )
    add(
        "Performance profile of the cost",
        _profile(costs, "Runs with a cost of at most", "normalised cost", False),
    )
    return found


def _share_of_safe(tasks: Sequence[np.ndarray]) -> Any:
    def count(drawn: Sequence[np.ndarray]) -> np.ndarray:
        return np.sum([task.mean(axis=-1) < SAFE_BELOW for task in drawn], axis=0)

    return aggregates.estimate(count, tasks)


def _profile(
    methods: Mapping[str, Sequence[np.ndarray]], title: str, axis: str, above: bool
) -> dict[str, Any]:
    every = np.concatenate([task for tasks in methods.values() for task in tasks])
    low = every.min() if above else 0.0
    # Equal steps of a cost's drawn, logarithmic axis.
    levels = (
        np.linspace(low, every.max(), LEVELS)
        if above
        else np.expm1(np.linspace(0, np.log1p(every.max()), LEVELS))
    )
    share = aggregates.profile_above if above else aggregates.profile_below
    shares = {
        m: aggregates.with_interval(lambda drawn: share(drawn, levels), tasks)
        for m, tasks in methods.items()
    }
    return charts.profiles(title, axis, levels, shares, symlog=not above)


def only_safe(tasks: Sequence[Scored]) -> str:
    """The paper's claim, and what was seen of it; empty where there is nothing to compare."""
    costs: dict[str, dict[str, Any]] = {}
    for one in tasks:
        for method, figures in one.estimates.items():
            if COST in figures and method in papers_methods():
                costs.setdefault(method, {})[one.task.name] = figures[COST]
    claim = safety.only_safe(costs, FISOR)
    return safety.in_words(claim, FISOR).replace("**", "") if claim else ""
