"""A study's experiments: those that are done are taken as they are, the others run one by one.

Each runs in a temporary copy of the project, by `dvc exp run --temp`, so that the workspace stays
as it is. What a stage has finished is in DVC's cache at once: an experiment that was stopped goes
on with its next stage.
"""

import copy
import hashlib
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from fisor.compare.revision import experiment_commits
from fisor.config.params import policy_of
from fisor.config.yaml_files import parse_yaml, read_yaml, shown_value
from fisor.errors import InputError
from fisor.git import git
from fisor.methods import BASELINES
from fisor.studies.process import Failure, Stages, run_module
from fisor.studies.study import Experiment

CODE = Path("data/code")  # what each stage computes with
LOGS = Path(".cache/studies")  # what each experiment printed


class Setting(NamedTuple):
    """All that an experiment's results depend on; equal settings give equal results.

    Attributes:
        yaml: params.yaml and tasks.yaml by name, with the experiment's changes.
        code: path -> MD5 of what stages `code` and `code_baseline` write.
    """

    yaml: Mapping[str, Any]
    code: Mapping[str, str]


def changed_yaml(repository: Path, experiment: Experiment) -> dict[str, dict[str, Any]]:
    """params.yaml and tasks.yaml of the workspace with an experiment's changes.

    Raises:
        InputError: a change names a parameter that is not there.
    """
    files = {name: read_yaml(repository / name) for name in ("params.yaml", "tasks.yaml")}
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
    return files


def code_now(repository: Path, methods: Iterable[str]) -> dict[str, str]:
    """Path -> MD5 of what stages `code` and `code_baseline` would write now.

    Args:
        repository: the project's folder.
        methods: whose code it is about.

    Raises:
        InputError: params.yaml or tasks.yaml is not right.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = ("--lock", "requirements.lock", "--out", str(folder / CODE))
        commands = [
            ("code",),
            *(("code_baseline", "--method", m) for m in methods if m in BASELINES),
        ]
        for stage, *method in commands:
            failure = run_module(repository, folder / "log", f"stages.{stage}", *method, *options)
            if failure is not None:
                raise InputError(failure.tail)
        return {str(path.relative_to(folder)): _md5(path) for path in folder.rglob("*.json")}


def _md5(path: Path) -> str:
    """As dvc.lock has it."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def was_run_with(repository: Path, commit: str, experiment: Experiment, wanted: Setting) -> bool:
    """Whether a commit holds the results of an experiment with this very setting."""
    stages = _lock(repository, commit).get("stages", {})
    parts = wanted.yaml["params.yaml"]["acquire_parts"]
    items = (policy_of(experiment.method), *parts)
    own = {experiment.task, *(f"{experiment.task}-{item}" for item in items), "report"}
    ours = {name: stage for name, stage in stages.items() if name.split("@")[-1] in own}
    return "report" in ours and all(_is_up_to_date(stage, wanted) for stage in ours.values())


def _is_up_to_date(stage: Mapping[str, Any], wanted: Setting) -> bool:
    """Whether a stage of dvc.lock had these parameters and this code."""
    parameters = all(
        _at(wanted.yaml.get(file), address) == value
        for file, values in stage.get("params", {}).items()
        for address, value in values.items()
    )
    return parameters and all(
        wanted.code.get(dep["path"]) == dep["md5"]
        for dep in stage.get("deps", ())
        if Path(dep["path"]).is_relative_to(CODE)
    )


def _at(values: Any, address: str) -> Any:
    """The value at a dotted place; None if there is none."""
    for key in address.split("."):
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


@cache
def _lock(repository: Path, commit: str) -> dict[str, Any]:
    try:
        return parse_yaml(git(repository, "show", f"{commit}:dvc.lock")) or {}
    except InputError:  # an experiment of another project, or of before it had a pipeline
        return {}


def find_done(repository: Path, experiments: Sequence[Experiment]) -> dict[str, str]:
    """Which experiments have run with the workspace's code and parameters, under whatever name.

    Returns:
        Name -> commit.

    Raises:
        InputError: a change names no parameter, or params.yaml or tasks.yaml is not right.
    """
    commits = [
        commit for named in experiment_commits(repository).values() for commit in named.values()
    ]
    found: dict[str, str] = {}
    code = code_now(repository, {experiment.method for experiment in experiments})
    for experiment in experiments:
        wanted = Setting(changed_yaml(repository, experiment), code)
        for commit in commits:
            if was_run_with(repository, commit, experiment, wanted):
                found[experiment.name] = commit
    return found


def run(
    repository: Path, experiments: Sequence[Experiment]
) -> tuple[dict[str, str], dict[str, Failure]]:
    """Run what has not run, one experiment after another. A failure does not stop the others.

    Args:
        repository: the project's folder.
        experiments: in the order in which they are to run.

    Returns:
        The commits of the experiments that are done, and the failures, by name.

    Raises:
        InputError: a change names no parameter, or params.yaml or tasks.yaml is not right.
    """
    done, failed = find_done(repository, experiments), dict[str, Failure]()
    missing = [experiment for experiment in experiments if experiment.name not in done]
    print(f"{len(done)} of {len(experiments)} experiments are there", file=sys.stderr)
    head = git(repository, "rev-parse", "HEAD").strip()
    began = time.monotonic()
    with tqdm(total=len(missing), disable=None, unit="experiment") as bar:
        for over, experiment in enumerate(missing, 1):
            name = experiment.name
            log = repository / LOGS / f"{name}.log"
            if head in experiment_commits(repository).get(name, {}):  # of other code or parameters
                run_module(repository, log, "dvc", "exp", "remove", "--quiet", name)
            changes = [f"{key}={shown_value(value)}" for key, value in experiment.changes.items()]
            options = [word for change in changes for word in ("--set-param", change)]
            shown = Stages(bar, f"{name} ({over} of {len(missing)})", log)
            command = ("exp", "run", "--temp", "--name", name, *options)
            failure = run_module(repository, log, "dvc", *command, watch=shown)
            state = "done"
            if failure is not None:
                failed[name] = failure
                state = f"FAILED\n{failure.tail}\n(log: {failure.log})"
            minutes = (time.monotonic() - began) / 60
            left = minutes / over * (len(missing) - over)
            tqdm.write(
                f"{name}: {state}\n"
                f"{over} of {len(missing)} in {minutes:.0f} min, about {left:.0f} min left",
                file=sys.stderr,
            )
            bar.update()
    done = find_done(repository, experiments)
    for experiment in experiments:
        if experiment.name not in done | failed:
            log = repository / LOGS / f"{experiment.name}.log"
            failed[experiment.name] = Failure(log, "it ended without its results")
    return done, failed
