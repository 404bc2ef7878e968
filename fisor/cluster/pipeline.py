"""DVC's view of the pipeline: its stages, what they depend on, and which are not up to date."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.repo.reproduce import plan_repro
from dvc.utils.serialize import modify_yaml

from fisor.cluster.workplace import LOADER
from fisor.errors import InputError

LOCK = "dvc.lock"


class Item(NamedTuple):
    """A stage, or one item of a stage's matrix.

    Attributes:
        name: as DVC has it, such as `train_policy@PointRobot-FISOR`.
        needs: each stage that it depends on -> the paths of that stage's outputs that are its
            dependencies, or in a folder that is one; no paths where it depends on a part of one.
        stale: whether its code, parameters or dependencies differ from dvc.lock.
        absent: whether it is up to date, but an output is not in this folder.
        travels: whether another clone can run it: a DVC remote can hold all of its outputs, and
            its dependencies are files of Git, whole outputs or folders around these.
        outputs: their paths.
        folders: those of its dependencies that are folders around outputs.
    """

    name: str
    needs: Mapping[str, Sequence[str]]
    stale: bool
    absent: bool
    travels: bool
    outputs: Sequence[str] = ()
    folders: Sequence[str] = ()


def read_items(folder: Path, remote: bool) -> dict[str, Item]:
    """All stages of dvc.yaml by name, in an order in which they can run.

    Args:
        folder: the project's.
        remote: whether outputs that are missing here can come from a DVC remote.

    Raises:
        InputError: dvc.yaml or dvc.lock cannot be read, or another DVC command is running.
    """
    try:
        with Repo(folder) as repo, repo.lock:
            graph = repo.index.graph  # an edge goes from a stage to one that it depends on
            order = plan_repro(graph)
            return {stage.addressing: _item(stage, list(graph[stage]), remote) for stage in order}
    except LockError as error:
        raise InputError(f"another DVC command is running in {folder}: {error}") from error
    except DvcException as error:
        raise InputError(f"{folder}: {error}") from error


def _item(stage: Any, upstream: Sequence[Any], remote: bool) -> Item:
    needs: dict[str, list[str]] = {other.addressing: [] for other in upstream}
    folders = set()
    for other, dep in itertools.product(upstream, stage.deps):
        for output in other.outs:
            if Path(output.fs_path).is_relative_to(dep.fs_path):
                needs[other.addressing].append(output.def_path)
                if output.fs_path != dep.fs_path:
                    folders.add(dep.def_path)
    # DVC would take a stage that has never run, and of which nothing is here, for unchanged.
    has_run = all(output.hash_info for output in stage.outs)
    stale = not has_run or stage.changed(allow_missing=remote, upstream=upstream)
    absent = remote and not stale and not all(output.exists for output in stage.outs)
    travels = all(output.use_cache for output in stage.outs) and all(needs.values())
    outputs = [output.def_path for output in stage.outs]
    return Item(stage.addressing, needs, stale, absent, travels, outputs, sorted(folders))


def read_lock(folder: Path) -> dict[str, Any]:
    """The entries of dvc.lock by stage; none if there is none, or if DVC is just writing it."""
    try:
        lock = yaml.load((folder / LOCK).read_text(encoding="utf-8"), LOADER)
    except (FileNotFoundError, yaml.YAMLError):
        return {}
    return lock.get("stages") or {} if isinstance(lock, dict) else {}


def add_to_lock(folder: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Write a stage's entry into dvc.lock, as DVC would have written it."""
    path = folder / LOCK
    if not path.exists():
        path.write_text("schema: '2.0'\n", encoding="utf-8")
    with modify_yaml(path) as lock:
        lock.setdefault("stages", {})[name] = entry


def is_up_to_date(item: Item, ran: set[str], lock: Mapping[str, Any]) -> bool:
    """Whether an item need not run although others did on which it depends.

    That is so if its dependencies have the contents that it ran with. DVC looks again at the end.

    Args:
        item: whose dependencies are all done.
        ran: the items that ran since its state was read.
        lock: the entries of dvc.lock now.
    """
    if item.stale:
        return False
    had = _hashes(lock, item.name, "deps")
    for need, paths in item.needs.items():
        if need not in ran:
            continue
        has = _hashes(lock, need, "outs")
        if not paths or any(path not in has or has[path] != had.get(path) for path in paths):
            return False
    return True


def _hashes(lock: Mapping[str, Any], name: str, kind: str) -> dict[str, str | None]:
    """The MD5 of each dependency or output in a stage's entry."""
    entries = lock.get(name, {}).get(kind, ())
    return {entry["path"]: entry.get("md5") for entry in entries}
