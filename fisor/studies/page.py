"""A study's page: README.md with its command, table.md, table.csv, figure.png; and page.html."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl

from fisor.compare.revision import Revision, experiment_commits, region_truths
from fisor.config.files import load_task, without_effect
from fisor.envs.suites import suite_of
from fisor.envs.truth import Truth
from fisor.errors import InputError
from fisor.hardware import processor
from fisor.outputs import atomic_directory
from fisor.page.document import write_document
from fisor.report.plane import region_rows
from fisor.report.report import figure_2_episodes
from fisor.report.scatter import points_of, reward_against_cost
from fisor.studies import claims, pictures, tables
from fisor.studies.process import Failure
from fisor.studies.study import Experiment, Study, described, shared_changes

OF_TRUTH = ("regions", "trajectories", "claims")  # figures that need the plane and its truth


def refuse_tasks_without_truth(
    study: Study, experiments: Sequence[Experiment], tasks_path: Path
) -> None:
    """Raise `InputError` if the study's figure cannot be drawn of one of its tasks."""
    for e in experiments:
        if suite_of(load_task(e.task, tasks_path)).truth is None and study.figure in OF_TRUTH:
            raise InputError(
                f"study {study.name}: `figure: {study.figure}` needs a true feasible region, and "
                f"nothing is known of {e.task}'s"
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
    with ExitStack() as stack, atomic_directory(out) as folder:
        revisions = {
            e.name: stack.enter_context(Revision(repository, e.name, done[e.name]))
            for e in finished
        }
        table = _table_and_figure(folder, study, experiments, revisions)
        (folder / "table.md").write_text(table, encoding="utf-8")
        text = _readme(repository, study, experiments, done, failed, command, table)
        (folder / "README.md").write_text(text, encoding="utf-8")
        write_document(folder / "page.html", text)


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
    elif study.figure == "reward_against_cost":
        tasks = long["task"].unique(maintain_order=True)
        of_tasks = {task: tables.estimates_of(long, task) for task in tasks}
        panels = [points_of(task, found) for task, found in of_tasks.items() if found]
        reward_against_cost(picture, panels)
    elif study.figure == "regions":
        truths = region_truths(_truth(revisions, finished))
        learned = {
            label: revisions[e.name].region_values(e.task, truths) for label, e in by_label.items()
        }
        region_rows(picture, truths, learned)
    else:
        first = {
            label: revisions[e.name].rollouts(e.task, e.method).filter(pl.col("seed") == 0)
            for label, e in by_label.items()
        }
        episodes = {label: figure_2_episodes(rows) for label, rows in first.items()}
        pictures.trajectory_rows(picture, _truth(revisions, finished).plane, episodes)
    table = tables.study_table(study, long)
    if study.only_safe is not None and (claim := tables.only_safe_in_words(study.only_safe, long)):
        table += f"\n{claim}"
    return table


def _truth(revisions: Mapping[str, Revision], finished: Sequence[Experiment]) -> Truth:
    """What is known of the plane, which all of the study's tasks share."""
    first = finished[0]
    truth = revisions[first.name].truth(first.task)
    assert truth is not None
    return truth


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
                "task": e.task,
                "variant": e.variant,
                "state": "done" if e.name in done else tables.FAILED,
            }
            for e in experiments
        ]
    )
    shared = shared_changes(experiments)
    parts = [
        f"# {study.title}\n\nReproduces: {study.reproduces}. {study.about}\n",
        f"![{study.title}](figure.png)\n",
        f"{table}\nBrackets hold 95 % intervals over seeds and start states. The same figures, a "
        "row each: [table.csv](table.csv).\n",
        f"## How it was made\n\n```console\n$ {command}\n```\n\n"
        f"On {processor()}. Each experiment is params.yaml and tasks.yaml of this commit with "
        "changes; one named after another study is shared with it. All of them change:\n",
        "".join(f"- `{described({key: value})}`\n" for key, value in shared.items()),
        tables.markdown(_variants(experiments, shared)),
        tables.markdown(listed),
    ]
    ignored = {
        f"{key} on {e.task}": True
        for e in experiments
        for key in without_effect(load_task(e.task, repository / "tasks.yaml"), e.changes)
    }
    if ignored:
        parts.append(f"Without effect, since overrides in tasks.yaml win: {', '.join(ignored)}.\n")
    for name, failure in failed.items():
        parts.append(f"`{name}` failed:\n\n```\n{failure.tail}\n```\n")
    return "\n".join(parts)


def _variants(experiments: Sequence[Experiment], shared: Mapping[str, Any]) -> pl.DataFrame:
    """What each variant changes beyond what all of the experiments do; `run` is the task."""
    rows = []
    for variant in dict.fromkeys(e.variant for e in experiments):
        of_variant = shared_changes([e for e in experiments if e.variant == variant])
        own = {k: v for k, v in of_variant.items() if k not in shared and k != "run"}
        changes = ", ".join(f"`{described({k: v})}`" for k, v in own.items())
        rows.append({"variant": variant, "its own changes": changes or "none"})
    return pl.DataFrame(rows)
