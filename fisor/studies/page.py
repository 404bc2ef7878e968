"""A study's page: README.md with its command, table.md, table.csv and figure.png."""

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import polars as pl

from fisor import report
from fisor.errors import InputError
from fisor.outputs import whole_directory
from fisor.revision import Revision, experiment_commits, region_truths
from fisor.studies import claims, pictures, tables
from fisor.studies.running import Failure, described
from fisor.studies.study import Experiment, Study
from fisor.tasks import OVERRIDABLE, load_task

ON_POINT_ROBOT = ("regions", "trajectories", "claims")  # figures that need the plane and its truth


def refuse_tasks_without_truth(
    study: Study, experiments: Sequence[Experiment], tasks_path: Path
) -> None:
    """Raise `InputError` if the study's figure cannot be drawn of one of its tasks."""
    for e in experiments:
        if load_task(e.task, tasks_path).suite != "point_robot" and study.figure in ON_POINT_ROBOT:
            raise InputError(
                f"study {study.name}: `figure: {study.figure}` needs a true feasible region, which "
                f"{e.task} lacks; only tasks of the suite point_robot have one"
            )


def write_page(
    out: Path,
    repository: Path,
    study: Study,
    experiments: Sequence[Experiment],
    done: Mapping[str, str],
    failed: Mapping[str, Failure],
    command: str,
) -> None:
    """Write a study's folder.

    Args:
        out: the folder; an older one is replaced when the new one is whole.
        repository: the project's folder.
        study: what to show.
        experiments: all that were asked for.
        done: the commits of those that are done, by name.
        failed: the others.
        command: that makes this page.

    Raises:
        InputError: a result is not in DVC's cache, or there is none at all.
    """
    if not done:
        raise InputError(
            f"study {study.name}: no experiment succeeded, so there is nothing to show"
        )
    finished = [e for e in experiments if e.name in done]
    with ExitStack() as stack, whole_directory(out) as folder:
        revisions = {
            e.name: stack.enter_context(Revision(repository, e.name, done[e.name]))
            for e in finished
        }
        table = _table_and_figure(folder, study, experiments, revisions)
        (folder / "table.md").write_text(table, encoding="utf-8")
        text = _readme(repository, study, experiments, done, failed, command, table)
        (folder / "README.md").write_text(text, encoding="utf-8")


def _table_and_figure(
    folder: Path,
    study: Study,
    experiments: Sequence[Experiment],
    revisions: Mapping[str, Revision],
) -> str:
    """Write table.csv and figure.png; returns the table in Markdown."""
    finished = [e for e in experiments if e.name in revisions]
    by_label = {_label(e, experiments): e for e in finished}
    picture = folder / "figure.png"
    if study.figure == "claims":
        rows = []
        for task in dict.fromkeys(e.task for e in experiments):
            of_task = {e.variant: e for e in finished if e.task == task}
            rows += claims.checked_claims(
                study.claims,
                {v: (revisions[e.name], e.task, e.method) for v, e in of_task.items()},
            )
        flat, table = tables.claims_table(rows)
        tables.write_csv(flat, folder / "table.csv")
        pictures.claim_intervals(picture, rows)
        return table
    metrics = {name: revision.metrics for name, revision in revisions.items()}
    long = tables.long_table(study, experiments, metrics)
    tables.write_csv(long, folder / "table.csv")
    if study.figure == "bars":
        pictures.bars(picture, study, long)
    elif study.figure == "lines":
        pictures.lines(picture, study, long)
    elif study.figure == "regions":
        learned = {label: revisions[e.name].region_values(e.task) for label, e in by_label.items()}
        pictures.region_rows(picture, region_truths(), learned)
    else:
        first = {
            label: revisions[e.name].rollouts(e.task, e.method).filter(pl.col("seed") == 0)
            for label, e in by_label.items()
        }
        episodes = {label: report.figure_2_episodes(rows) for label, rows in first.items()}
        pictures.trajectory_rows(picture, episodes)
    failed = [e for e in experiments if e.name not in revisions]
    return tables.study_table(study, failed, long)


def _label(experiment: Experiment, experiments: Sequence[Experiment]) -> str:
    """The variant, with the task where there are several."""
    several = len({e.task for e in experiments}) > 1
    return f"{experiment.task}: {experiment.variant}" if several else experiment.variant


def _readme(
    repository: Path,
    study: Study,
    experiments: Sequence[Experiment],
    done: Mapping[str, str],
    failed: Mapping[str, Failure],
    command: str,
    table: str,
) -> str:
    stored = {
        commit: name
        for name, commits in experiment_commits(repository).items()
        for commit in commits.values()
    }
    listed = pl.DataFrame(
        [
            {
                "experiment": f"`{stored.get(done.get(e.name, ''), e.name)}`",
                "parameters changed": described(e.changes),
                "state": "done" if e.name in done else tables.FAILED,
            }
            for e in experiments
        ]
    )
    parts = [
        f"# {study.title}\n\nReproduces: {study.reproduces}. {study.about}\n",
        f"![{study.title}](figure.png)\n",
        f"{table}\nBrackets hold 95 % intervals over seeds and start states. The same figures, a "
        "row each: [table.csv](table.csv).\n",
        f"## How it was made\n\n```console\n$ {command}\n```\n\n"
        f"On {os.cpu_count()} processors ({_processor()}). Each experiment is params.yaml and "
        "tasks.yaml of this commit with these changes; one named after another study is shared "
        "with it.\n",
        tables.markdown(listed),
    ]
    if ignored := without_effect(experiments, repository / "tasks.yaml"):
        parts.append(f"Without effect, since overrides in tasks.yaml win: {', '.join(ignored)}.\n")
    for name, failure in failed.items():
        parts.append(f"`{name}` failed:\n\n```\n{failure.tail}\n```\n")
    return "\n".join(parts)


def without_effect(experiments: Sequence[Experiment], tasks_path: Path) -> list[str]:
    """The changed parameters that a task overrides in every stage that it may override them in."""
    found = {}
    for e in experiments:
        overrides = load_task(e.task, tasks_path).overrides
        for key in e.changes:
            stages = [stage for stage, allowed in OVERRIDABLE.items() if key in allowed]
            if stages and all(key in overrides.get(stage, {}) for stage in stages):
                found[f"{key} on {e.task}"] = True
    return list(found)


def _processor() -> str:
    """The processor's name, as Linux knows it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()
