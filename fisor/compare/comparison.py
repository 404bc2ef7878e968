"""Two experiments side by side: the parameters that differ, metrics, curves and regions."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from fisor.compare.revision import Revision, region_truths
from fisor.config.yaml_files import shown_value
from fisor.errors import InputError
from fisor.evaluation.intervals import Estimate
from fisor.outputs import atomic_directory
from fisor.page import charts
from fisor.page.document import Section, write_document
from fisor.report.plane import region_rows
from fisor.report.plots import curves_overlaid
from fisor.report.tables import NONE, markdown, shown

RULE = (
    "Inside: the one's mean lies in the other's 95 % interval, so the difference may be chance. "
    "Outside: neither lies in the other's."
)


class Difference(NamedTuple):
    """One figure of both experiments.

    Attributes:
        figure: its name.
        a: of the first; low and high are None where it has no interval.
        b: of the second.
        inside: whether the difference lies inside the intervals; None where there is none.
    """

    figure: str
    a: tuple[float | None, float | None, float | None]
    b: tuple[float | None, float | None, float | None]
    inside: bool | None


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under their addresses, such as `overrides.policy.policy_units`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{name}.")
        else:
            found[name] = value
    return found


def parameters_that_differ(a: Revision, b: Revision) -> list[tuple[str, str, str]]:
    """Address in params.yaml, or in tasks.yaml for a task in `run`; the values in A and in B."""

    def all_of(revision: Revision) -> dict[str, Any]:
        ran = {name: revision.tasks[name] for name in revision.params["run"]}
        return flat(revision.params) | flat(ran, "tasks.yaml:")

    first, second = all_of(a), all_of(b)

    def word(values: dict[str, Any], name: str) -> str:
        return shown_value(values[name]) if name in values else NONE

    return [
        (name, word(first, name), word(second, name))
        for name in dict.fromkeys([*first, *second])
        if name not in first or name not in second or first[name] != second[name]
    ]


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """Every figure that two parts of metrics.json share, in the order of the first.

    Args:
        a: figure -> number, or -> {mean, low, high}; deeper levels are named by their address.
        b: the same of the other experiment.
    """
    found = []
    for name, entry in _figures(a):
        other = dict(_figures(b)).get(name)
        if other is None:
            continue
        inside = None
        if None not in (*entry, *other):
            inside = entry[1] <= other[0] <= entry[2] or other[1] <= entry[0] <= other[2]
        found.append(Difference(name, entry, other, inside))
    return found


def _figures(part: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in part.items():
        if isinstance(value, Mapping) and set(value) == set(Estimate._fields):
            yield f"{prefix}{key}", tuple(value[name] for name in Estimate._fields)
        elif isinstance(value, Mapping):
            yield from _figures(value, f"{prefix}{key} ")
        elif isinstance(value, int | float):
            yield f"{prefix}{key}", (float(value), None, None)


def _cell(estimate: tuple[float | None, float | None, float | None]) -> str:
    mean, low, high = estimate
    if mean is None:
        return NONE
    if low is None or high is None:
        return f"{mean:.4g}"
    return shown(Estimate(mean, low, high))


def difference_table(rows: list[Difference], a: str, b: str) -> str:
    """Markdown of `differences`."""
    cells = []
    for row in rows:
        known = row.a[0] is not None and row.b[0] is not None
        difference = f"{(row.b[0] or 0) - (row.a[0] or 0):+.4g}" if known else NONE
        verdict = {True: "inside", False: "**outside**", None: NONE}[row.inside]
        line = {"figure": row.figure.replace("_", " "), f"A: {a}": _cell(row.a)}
        cells.append(line | {f"B: {b}": _cell(row.b), "B − A": difference, "intervals": verdict})
    return markdown(pl.DataFrame(cells))


def write_comparison(out: Path, a: Revision, b: Revision) -> None:
    """Write comparison.md, its figures, and comparison.html with both in one file.

    Args:
        out: the folder; an older one is replaced when the new one is whole.
        a: the first experiment.
        b: the second.

    Raises:
        InputError: they share no task, or an output is not in DVC's cache.
    """
    shared = [task for task in a.params["run"] if task in b.params["run"]]
    if not shared:
        runs = ", ".join(a.params["run"]), ", ".join(b.params["run"])
        raise InputError(f"no task in both: {a.name} ran {runs[0]}, {b.name} ran {runs[1]}")
    rows = [
        {"parameter": f"`{name}`", f"A: {a.name}": first, f"B: {b.name}": second}
        for name, first, second in parameters_that_differ(a, b)
    ]
    changed = markdown(pl.DataFrame(rows)) if rows else "None.\n"
    parts = [f"# {a.name} (A) against {b.name} (B)\n", f"## Parameters that differ\n\n{changed}"]
    with atomic_directory(out) as folder:
        overlaid = []
        for task in shared:
            (folder / task).mkdir()
            curves = _curves(task, a, b)
            parts.append(_task_section(folder, task, a, b, curves))
            drawn = [
                {"label": f"{task}: {title}", "chart": charts.curves_overlaid(title, both)}
                for title, both in curves.items()
            ]
            overlaid.append(Section(f"{task}: training curves", drawn))
        text = "\n".join(parts)
        (folder / "comparison.md").write_text(text, encoding="utf-8")
        write_document(folder / "comparison.html", text, overlaid)


Curves = dict[str, dict[str, pl.DataFrame]]  # what it is of -> experiment -> the curve


def _curves(task: str, a: Revision, b: Revision) -> Curves:
    curves: Curves = {}
    for letter, revision in (("A", a), ("B", b)):
        for file in sorted(revision.fetch(f"reports/curves/{task}").glob("*.csv")):
            title = file.stem.replace("_", " ").replace(" h", "_h").replace(" r", "_r")
            curves.setdefault(title, {})[f"{letter}: {revision.name}"] = pl.read_csv(file)
    return curves


def _task_section(folder: Path, task: str, a: Revision, b: Revision, curves: Curves) -> str:
    parts = [f"## {task}\n"]
    for method_a, method_b in _methods(a, b):
        both = differences(a.metrics[task][method_a], b.metrics[task][method_b])
        names = (f"{a.name} ({method_a})", f"{b.name} ({method_b})")
        parts.append(difference_table(both, *names) + f"\n{RULE}\n")
    regions = [revision.metrics[task].get("feasible_region", {}) for revision in (a, b)]
    if both := differences(*regions):
        parts.append(
            "The feasible region, means over seeds (they have no interval):\n\n"
            + difference_table(both, a.name, b.name)
        )
    curves_overlaid(folder / task / "curves.png", curves)
    parts.append(f"![Training curves]({task}/curves.png)\n")
    if (truth := a.truth(task)) is not None:
        truths = region_truths(truth)
        learned = {
            f"{letter}: {revision.name}": revision.region_values(task, truths)
            for letter, revision in (("A", a), ("B", b))
        }
        region_rows(folder / task / "feasible_regions.png", truths, learned)
        parts.append(f"![Feasible regions]({task}/feasible_regions.png)\n")
    return "\n".join(parts)


def _methods(a: Revision, b: Revision) -> list[tuple[str, str]]:
    """Which of A's methods stands against which of B's: the same, or the only two there are."""
    first, second = a.methods, b.methods
    if len(first) == len(second) == 1:
        return [(first[0], second[0])]
    return [(method, method) for method in first if method in second]
