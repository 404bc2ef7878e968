"""A study's experiments through DVC's queue: those done are kept, the others run one by one."""

import copy
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from dvc.repo import Repo
from tqdm import tqdm

from fisor.errors import InputError
from fisor.revision import experiment_commits, git
from fisor.studies.study import Experiment, shown_value
from fisor.tasks import read_yaml

POLL_SECONDS = 3.0
IDLE_POLLS = 5  # in a row before a worker is started: one takes its time between two experiments
LOG_LINES = 12


class Failure(NamedTuple):
    """An experiment that failed.

    Attributes:
        log: where what it printed is; None where it did not get so far.
        tail: the last lines of that.
    """

    log: Path | None
    tail: str


class Setting(NamedTuple):
    """All that an experiment's results depend on; equal settings give equal results.

    Attributes:
        params: params.yaml, but for where files come from.
        tasks: the entries of tasks.yaml of the tasks in `run`.
        code: dvc.yaml and each file of Git's that a stage depends on, to Git's hash of it.
    """

    params: dict[str, Any]
    tasks: dict[str, Any]
    code: dict[str, str]


def wanted_settings(repository: Path, experiments: Iterable[Experiment]) -> dict[str, Setting]:
    """The setting of the workspace with each experiment's changes, by name.

    Raises:
        InputError: a change names a parameter that is not there.
    """
    names = "params.yaml", "tasks.yaml"
    workspace = {name: read_yaml(repository / name) for name in names}
    present = [path for path in code_files(repository) if (repository / path).exists()]
    hashes = git(repository, "hash-object", "--", *present).split()
    code = dict(zip(present, hashes, strict=True))
    settings = {}
    for experiment in experiments:
        files = copy.deepcopy(workspace)
        for key, value in experiment.changes.items():
            name, _, address = key.rpartition(":")
            name = name or "params.yaml"
            *folders, last = address.split(".")
            place: Any = files.get(name)
            for folder in folders:
                place = place.get(folder) if isinstance(place, dict) else None
            if not isinstance(place, dict) or last not in place:
                raise InputError(f"experiment {experiment.name}: {name} has no `{address}`")
            place[last] = copy.deepcopy(value)
        settings[experiment.name] = _setting(files["params.yaml"], files["tasks.yaml"], code)
    return settings


def done_setting(repository: Path, commit: str) -> Setting:
    """The setting of an experiment that has run."""
    listed = git(repository, "ls-tree", "-r", commit, "--", *code_files(repository))
    hashes = {
        path: entry.split()[2] for entry, path in (x.split("\t") for x in listed.splitlines())
    }
    params, tasks = (
        _parsed(git(repository, "show", f"{commit}:{name}"))
        for name in ("params.yaml", "tasks.yaml")
    )
    return _setting(params, tasks, hashes)


@cache  # most experiments share their tasks.yaml
def _parsed(text: str) -> dict[str, Any]:
    return yaml.safe_load(text)


def code_files(repository: Path) -> list[str]:
    """dvc.yaml, and what its stages depend on of what is in Git rather than in DVC's cache."""
    stages = read_yaml(repository / "dvc.yaml")["stages"]
    named = {path for stage in stages.values() for path in stage.get("deps", ())}
    return [
        "dvc.yaml",
        *sorted(p for p in named if not p.startswith("data/") and p != "tasks.yaml"),
    ]


def _setting(params: dict[str, Any], tasks: dict[str, Any], code: dict[str, str]) -> Setting:
    params = {key: value for key, value in params.items() if key != "dataset_hosts"}
    return Setting(params, {task: tasks.get(task) for task in params["run"]}, code)


def find_done(repository: Path, experiments: Iterable[Experiment]) -> dict[str, str]:
    """Which experiments have run with the workspace's code and parameters, under whatever name.

    Returns:
        Name -> commit.

    Raises:
        InputError: as `wanted_settings`.
    """
    wanted = wanted_settings(repository, experiments)
    found: dict[str, str] = {}
    for commits in experiment_commits(repository).values():
        for commit in commits.values():
            setting = done_setting(repository, commit)
            found |= {name: commit for name, asked in wanted.items() if asked == setting}
    return found


def run(
    repository: Path, experiments: Sequence[Experiment]
) -> tuple[dict[str, str], dict[str, Failure]]:
    """Run what has not run, through `dvc exp run --queue` and `dvc queue start`.

    Interrupted, the queue goes on in the background; called again, this waits for it, or goes on
    where it stopped. A failure does not keep the others from running.

    Args:
        repository: the project's folder.
        experiments: in the order in which they are to run.

    Returns:
        The commits of the experiments that are done, and the failures, by name.

    Raises:
        InputError: a change names no parameter, or DVC refuses an experiment.
    """
    done = find_done(repository, experiments)
    missing = [experiment for experiment in experiments if experiment.name not in done]
    print(f"{len(done)} of {len(experiments)} experiments are there", file=sys.stderr)
    if not missing:
        return done, {}
    with warnings.catch_warnings(), Repo(str(repository)) as repo:
        warnings.simplefilter("ignore")  # DVC's own
        queue = repo.experiments.celery_queue
        _clear(repository, queue, {experiment.name for experiment in missing})
        head = git(repository, "rev-parse", "HEAD").strip()
        commits, waiting = experiment_commits(repository), _in_queue(queue)
        for experiment in missing:
            if experiment.name not in waiting:
                if head in commits.get(experiment.name, {}):  # with other code or parameters
                    _dvc(repository, "exp", "remove", "--quiet", experiment.name)
                _enqueue(repository, experiment)
        failed = _wait(repository, queue, [experiment.name for experiment in missing])
    done = find_done(repository, experiments)
    for experiment in experiments:
        if experiment.name not in done | failed:
            failed[experiment.name] = Failure(None, "it left the queue without a result")
    return done, failed


def _enqueue(repository: Path, experiment: Experiment) -> None:
    changes = [f"{key}={shown_value(value)}" for key, value in experiment.changes.items()]
    options = [word for change in changes for word in ("-S", change)]
    _dvc(repository, "exp", "run", "--queue", "--quiet", "--name", experiment.name, *options)


def _dvc(repository: Path, *arguments: str) -> None:
    """Run DVC with this environment's programs first on PATH: its stages call `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [sys.executable, "-m", "dvc", *arguments]
    # A file, since the worker that `queue start` leaves behind would keep a pipe open.
    with tempfile.TemporaryFile("w+") as printed:
        done = subprocess.run(
            command, cwd=repository, env=os.environ | {"PATH": path}, text=True, check=False,
            stdout=subprocess.DEVNULL, stderr=printed,
        )  # fmt: skip
        if done.returncode:
            printed.seek(0)
            raise InputError(f"dvc {' '.join(arguments)}: {printed.read().strip()}")


def _in_queue(queue: Any) -> set[str]:
    return {entry.name for entry in (*queue.iter_queued(), *queue.iter_active())}


def _clear(repository: Path, queue: Any, names: set[str]) -> None:
    """Take former runs of these off the queue: those over, and those whose worker has died."""
    active = {entry.name for entry in queue.iter_active()} & names
    if active and not any(queue.worker_status().values()):
        _dvc(repository, "queue", "kill", "--force", *sorted(active))
    over = {result.entry.name for result in queue.iter_done()} & names
    if over:
        _dvc(repository, "queue", "remove", *sorted(over))


def _wait(repository: Path, queue: Any, names: Sequence[str]) -> dict[str, Failure]:
    """Keep a worker running until these have left the queue; returns those that failed."""
    failed: dict[str, Failure] = {}
    waiting, idle_polls = set(names), IDLE_POLLS
    began = time.monotonic()
    with tqdm(total=len(names), disable=None, unit="experiment") as bar:
        while waiting:
            if idle_polls >= IDLE_POLLS:  # at first, and where the worker ended too early
                _dvc(repository, "queue", "start", "--jobs", "1")
                idle_polls = 0
            time.sleep(POLL_SECONDS)
            active = [entry.name for entry in queue.iter_active()]
            still = waiting & ({entry.name for entry in queue.iter_queued()} | set(active))
            idle_polls = 0 if active else idle_polls + 1
            results = {result.entry.name: result for result in queue.iter_done()}
            for name in sorted(waiting - still, key=names.index):
                finished = results.get(name)
                if finished is None and name in _in_queue(queue):
                    continue  # it went from queued to active between two looks
                waiting.remove(name)
                over, minutes = len(names) - len(waiting), (time.monotonic() - began) / 60
                if finished is not None and finished.result is None:
                    failed[name] = _failure(queue, finished.entry)
                    state = f"FAILED\n{failed[name].tail}\n(log: {failed[name].log})"
                else:
                    state = "done"
                left = minutes / over * len(waiting)
                tqdm.write(
                    f"{name}: {state}; {over} of {len(names)}, about {left:.0f} min left",
                    file=sys.stderr,
                )
                bar.update()
            bar.set_postfix_str(", ".join(active))
    return failed


def _failure(queue: Any, entry: Any) -> Failure:
    process = queue.proc.get(entry.stash_rev)
    if process is None or not Path(process.stdout).exists():
        return Failure(None, "no output; it failed while DVC set it up")
    lines = Path(process.stdout).read_text(encoding="utf-8", errors="replace").splitlines()
    return Failure(Path(process.stdout), "\n".join(lines[-LOG_LINES:]))


def described(changes: Mapping[str, Any]) -> str:
    """`-S` changes on one line."""
    return ", ".join(f"{key} = {shown_value(value)}" for key, value in changes.items())
