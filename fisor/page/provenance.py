"""Where results are from: data, hardware, packages, parameters that differ from the paper's.

All of it follows from what the report depends on, so the same results give the same page. The
commit does not: it would change the page without any result changing. dvc.lock has the page's hash,
so Git finds the commit by the page.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from fisor.config import layers
from fisor.config.acting import Acting
from fisor.config.data import Labels
from fisor.config.feasibility import Feasibility
from fisor.config.policy import Policy
from fisor.config.reward import Reward
from fisor.report.data_card import source
from fisor.report.results import Results

TABLE_5 = Path(__file__).parents[1] / "report" / "paper_table5.csv"
SECTIONS = {
    "feasibility": Feasibility,
    "reward": Reward,
    "policy": Policy,
    "evaluation": Acting,
    "labels": Labels,
}


def provenance(
    repository: Path, packages: Mapping[str, str], tasks: Sequence[Results], policies: Sequence[str]
) -> list[tuple[str, str]]:
    """Name and value of everything that says where these results are from.

    Args:
        repository: the project's folder.
        packages: name -> version.
        tasks: what is shown.
        policies: the methods that Table 5 has parameters of: FISOR and its variants.
    """
    first = next(iter(tasks))
    episodes = pl.concat([first.episodes(method) for method in first.ran], how="diagonal_relaxed")
    rows = [
        ("training seeds", ", ".join(map(str, episodes["seed"].unique().sort()))),
        (
            "evaluation",
            f"{episodes['episode'].n_unique()} starts for each seed on {first.task.name}, reset "
            f"seeds from {episodes['reset_seed'].to_numpy().min()}",
        ),
        ("packages", ", ".join(f"{name} {version}" for name, version in packages.items())),
    ]
    machines: dict[str, list[str]] = {}
    for results in tasks:
        for what, machine in results.hardware().items():
            machines.setdefault(machine, []).append(f"{results.task.name} {what}")
    for machine, made in machines.items():
        everything = "everything" if len(machines) == 1 else ", ".join(made)
        rows.append((f"made on {machine}", everything))
    for results in tasks:
        name = results.task.name
        hashes = ", ".join(map(sha256, results.raw))
        rows.append((f"{name}: data", f"{source(results.task)}; SHA-256 {hashes}"))
        for method in policies:
            found = different(repository, name, method, results.task.dense_violation)
            rows.append((f"{name}, {method}: differs from the paper's Table 5", found or "nothing"))
    return rows


def sha256(path: Path) -> str:
    """Of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def different(repository: Path, task: str, method: str, dense_violation: bool) -> str:
    """The parameters of a policy that differ from Table 5, with the paper's values in brackets."""
    paper = pl.read_csv(TABLE_5, comment_prefix="#")
    files = repository / layers.PARAMS, repository / layers.TASKS
    sections = []
    for name, schema in SECTIONS.items():
        values: Mapping[str, Any] = vars(layers.load(schema, task, method, *files))
        differing = [
            f"{parameter} {values[parameter]:,.10g} ({value:,.10g})"
            for parameter, value in paper.filter(section=name).select("parameter", "value").rows()
            if values[parameter] != value and not (parameter == "M" and dense_violation)
        ]
        if differing:
            sections.append(f"{name}: {', '.join(differing)}")
    return "; ".join(sections)
