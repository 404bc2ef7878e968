"""What an experiment, a commit or the workspace holds: parameters, metrics, cached outputs."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import polars as pl
from dvc.api import DVCFileSystem

from fisor.config.params import one_step_of, policy_of
from fisor.config.task import Environment
from fisor.config.yaml_files import parse_yaml
from fisor.critics import trained
from fisor.envs.suites import suite_of
from fisor.envs.truth import Slice, Truth
from fisor.errors import InputError
from fisor.evaluation import regions
from fisor.git import git

WORKSPACE = "workspace"
RegionTruths = Mapping[Slice, regions.SliceTruth]


class Revision:
    """Files of a revision, read from Git and DVC's cache without checking it out.

    A context manager: what it fetched is removed at its end.
    """

    def __init__(self, repository: str | Path, name: str, revision: str | None = None) -> None:
        """Open a revision.

        Args:
            repository: the project's folder.
            name: what to call it.
            revision: a commit; None looks `name` up: `workspace`, an experiment or a Git revision.

        Raises:
            InputError: there is no such revision.
        """
        self.repository, self.name = Path(repository), name
        commit = revision or resolve(self.repository, name)
        self._files = DVCFileSystem(str(repository), rev=commit)
        self._fetched = Path(tempfile.mkdtemp(prefix="fisor-"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()
        shutil.rmtree(self._fetched, ignore_errors=True)

    def _text(self, path: str) -> str:
        try:
            return self._files.read_text(path, encoding="utf-8")
        except FileNotFoundError as error:
            raise InputError(f"{self.name} has no {path}; was it run?") from error

    @cached_property
    def params(self) -> dict[str, Any]:
        """params.yaml."""
        return parse_yaml(self._text("params.yaml"))

    @cached_property
    def tasks(self) -> dict[str, Any]:
        """tasks.yaml."""
        return parse_yaml(self._text("tasks.yaml"))

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """reports/metrics.json."""
        return json.loads(self._text("reports/metrics.json"))

    def fetch(self, path: str) -> Path:
        """A local copy of a file or folder.

        Raises:
            InputError: the revision does not have it, or the cache has lost it.
        """
        local = self._fetched / path
        if not local.exists():
            local.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._files.get(path, str(local), recursive=True)
            except FileNotFoundError as error:
                raise InputError(
                    f"{self.name}: {path} is not in DVC's cache; run the experiment again"
                ) from error
        return local

    @cached_property
    def _outputs(self) -> dict[str, list[str]]:
        """Stage -> the paths of what it left."""
        stages = parse_yaml(self._text("dvc.lock"))["stages"]
        return {name: [out["path"] for out in s.get("outs", ())] for name, s in stages.items()}

    def _output(self, stage: str, ending: str = "") -> Path:
        """A local copy of that of a stage's outputs whose path has this ending."""
        for path in self._outputs.get(stage, ()):
            if path.endswith(ending):
                return self.fetch(path)
        raise InputError(f"{self.name} has not run stage {stage}")

    @property
    def methods(self) -> list[str]:
        """The methods that ran.

        Raises:
            InputError: the revision is of another version of the pipeline.
        """
        return [*self._list("policies"), *self._list("baselines"), *self._one_step]

    @property
    def _one_step(self) -> list[str]:
        """The one-step policies; older revisions have no such list."""
        return [one_step_of(policy) for policy in self.params.get("distilled", ())]

    def _list(self, key: str) -> list[str]:
        if key not in self.params:
            raise InputError(
                f"{self.name}: params.yaml has no `{key}`; it is of another version of the pipeline"
            )
        return self.params[key]

    def rollouts(self, task: str, method: str) -> pl.DataFrame:
        """The episodes of a method."""
        stage = "evaluate" if method in self._list("policies") else "evaluate_baseline"
        if method in self._one_step:
            stage = "evaluate_distilled"
        return pl.read_parquet(self._output(f"{stage}@{task}-{policy_of(method)}", ".parquet"))

    def truth(self, task: str) -> Truth | None:
        """What is known of a task's true feasible region."""
        facts = {name: self.tasks[task][name] for name in Environment.names() if name != "name"}
        return suite_of(Environment(name=task, **facts)).truth

    def region_values(self, task: str, truths: RegionTruths) -> dict[Slice, np.ndarray]:
        """What is above 0 where a state is called infeasible, over each slice, `[seeds, n]`."""
        critic = trained.load(self._output(f"train_feasibility@{task}"))
        return {where: critic.values(known.observations) for where, known in truths.items()}


@cache
def region_truths(truth: Truth) -> RegionTruths:
    """The truth over each slice of a task's states."""
    return {where: regions.slice_truth(truth, where) for where in truth.slices}


def experiment_commits(repository: Path) -> dict[str, dict[str, str]]:
    """DVC's experiments: name -> baseline commit -> commit; baselines from old to new."""
    found: dict[str, dict[str, str]] = {}
    listed = git(
        *(repository, "for-each-ref", "refs/exps", "--sort=committerdate"),
        "--format=%(objectname) %(refname)",
    )
    for line in listed.splitlines():
        commit, reference = line.split(" ", 1)
        parts = reference.split("/")  # refs/exps/ab/cdef.../NAME; DVC's stashes have other forms
        if len(parts) == 5 and len(parts[2]) == 2 and len(parts[3]) == 38:
            found.setdefault(parts[4], {})[parts[2] + parts[3]] = commit
    return found


def resolve(repository: Path, name: str) -> str | None:
    """The commit of an experiment's name or a Git revision; None for `workspace`.

    Of experiments of one name the one on HEAD is meant, else the newest.

    Raises:
        InputError: there is neither.
    """
    if name == WORKSPACE:
        return None
    if commits := experiment_commits(repository).get(name):
        head = git(repository, "rev-parse", "HEAD").strip()
        return commits.get(head, list(commits.values())[-1])
    try:
        return git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
    except InputError as error:
        raise InputError(
            f"`{name}` is neither an experiment, a Git revision nor `{WORKSPACE}`; "
            "`dvc exp list --all-commits` lists the experiments"
        ) from error
