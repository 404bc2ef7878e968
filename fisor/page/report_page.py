"""The report as one HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from fisor.critics import trained
from fisor.envs.suites import suite_of
from fisor.page import charts, motion, overview
from fisor.page.cells import Cell
from fisor.page.clips import Clips
from fisor.page.latency import latencies
from fisor.page.provenance import provenance
from fisor.page.rendering import write
from fisor.report import data_card
from fisor.report.results import Results
from fisor.report.safety import SAFE_BELOW
from fisor.report.tables import NONE, Scored, scored


def write_report_page(
    path: Path,
    repository: Path,
    packages: Mapping[str, str],
    tasks: Sequence[Results],
    policies: Sequence[str],
    metrics: Mapping[str, Any],
) -> None:
    """Write the page.

    Args:
        path: the HTML file to make.
        repository: the project's folder, for where results are from.
        packages: of the stage, name -> version.
        tasks: the results to show, all of the same methods.
        policies: those of them that are extracted from the critics.
        metrics: what `write_report` returned of them.

    Raises:
        InputError: a result is missing.
    """
    numbers = [scored(results) for results in tasks]
    clips = Clips()
    parts = [
        _task(results, of_task, metrics[results.task.name], clips)
        for results, of_task in zip(tasks, numbers, strict=True)
    ]
    latency = latencies(repository)
    not_run = [
        f"{one.task.name}: {', '.join(missing)}"
        for one in numbers
        if (missing := [m for m in one.methods if m not in one.estimates])
    ]
    aggregated = overview.aggregate_charts(numbers)
    sections = [("results", "Results")]
    sections += [("aggregates", "Aggregates")] if aggregated else []
    sections += [(part["id"], part["name"]) for part in parts]
    sections += [("latency", "Acting latency")] if latency[1] else []
    sections.append(("provenance", "Provenance"))
    write(
        path,
        "report.html.j2",
        title=_title(numbers),
        sections=sections,
        verdicts=overview.verdicts(numbers),
        claim=overview.only_safe(numbers),
        matrix=overview.matrix(numbers),
        details=overview.details(numbers),
        limit=SAFE_BELOW,
        keys=charts.legend(numbers[0].methods),
        scatter=overview.scatter(numbers),
        aggregates=aggregated,
        tasks=parts,
        latency=latency,
        not_run=not_run,
        clips_left_out=clips.left_out,
        provenance=provenance(repository, packages, tasks, policies),
    )


def _title(numbers: Sequence[Scored]) -> str:
    """Of the page: the tasks, or how many."""
    names = [one.task.name for one in numbers]
    what = ", ".join(names) if len(names) <= 3 else f"{len(names)} tasks"
    return f"Safe offline RL: {len(numbers[0].methods)} methods on {what}"


def _task(
    results: Results, numbers: Scored, metrics: Mapping[str, Any], clips: Clips
) -> dict[str, Any]:
    """What the template shows of one task."""
    task, truth = results.task, suite_of(results.task).truth
    card = data_card.card(task, results.labels)
    critic = trained.load(results.feasibility)
    part: dict[str, Any] = {
        "id": f"task-{task.name}",
        "name": task.name,
        "suite": suite_of(task).title,
        "table": overview.task_table(numbers),
        "facts": list(card.rows.items()),
        "dataset": charts.dataset(
            card.returns, card.costs, task.cost_limit, task.reference_returns
        ),
        "curves": _curves(results),
        "certificates": _certificates(metrics, numbers.methods),
        "endings": _endings(metrics, numbers.methods),
        "clips": clips.of_task(results),
        "mean_feasible_value": metrics["mean_feasible_value"],
        "animation": None,
        "region": None,
    }
    if truth is not None:
        episodes = {method: results.episodes(method) for method in results.ran}
        part["animation"] = motion.animation(truth.plane, critic, episodes)
        part["region"] = motion.region(truth, critic)
    return part


def _curves(results: Results) -> list[dict[str, Any]]:
    """Label and chart of each training curve."""
    found = []
    for file, column, title in results.curves():
        wide = pl.read_csv(file).pivot("seed", index="update", values=column)
        seeds = wide.drop("update").to_numpy()
        chart = charts.training_curve(title, wide["update"].to_numpy(), seeds)
        found.append({"label": f"{results.task.name}: {title}", "chart": chart})
    return found


def _certificates(
    metrics: Mapping[str, Any], methods: Sequence[str]
) -> tuple[list[str], list[list[Cell]]]:
    """A row for each method and way to choose the level."""
    rows = []
    for method in methods:
        found = metrics.get(method, {}).get("certificates", {})
        for name, title in (("zero_level", "at most 0"), ("chosen_level", "chosen")):
            if name not in found:
                continue
            of_seeds = [seed for key, seed in found[name].items() if key.startswith("seed_")]
            known = [seed for seed in of_seeds if seed is not None]
            largest = found[name]["largest_epsilon"]
            levels = ", ".join(NONE if s is None else f"{s['level']:.2f}" for s in of_seeds)
            if not known:
                levels = "none does"
            rows.append(
                [
                    Cell(method),
                    Cell(title if name == "zero_level" else f"{title}: {levels}"),
                    Cell(", ".join(f"{s['violations']} of {s['starts']}" for s in known) or NONE),
                    Cell(NONE, kind="none") if largest is None else Cell(f"{largest:.3f}", largest),
                ]
            )
    return ["method", "level of V_h", "violations, by seed", "at most this share violates"], rows


def _endings(
    metrics: Mapping[str, Any], methods: Sequence[str]
) -> tuple[list[str], list[list[Cell]]]:
    """A row for each method and kind of start: how its episodes end."""
    rows, names = [], []
    for method in methods:
        for starts, shares in metrics.get(method, {}).get("endings", {}).items():
            names = list(shares)
            cells = [
                Cell(NONE, kind="none")
                if share["mean"] != share["mean"]
                else Cell(f"{100 * share['mean']:.0f} %", share["mean"])
                for share in shares.values()
            ]
            rows.append([Cell(method), Cell(f"truly {starts}"), *cells])
    return ["method", "starts", *(name.replace("_", " ") for name in names)], rows
