"""What must be so before anything is started."""

import configparser
import fcntl
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dvc.config import Config, ConfigError

from fisor.cluster.pipeline import LOCK, Item
from fisor.cluster.workplace import Source
from fisor.errors import InputError
from fisor.git import git


def require_project(folder: Path) -> None:
    """Raise `InputError` unless this is the root of a pipeline."""
    for name in (".dvc", "dvc.yaml"):
        if not (folder / name).exists():
            raise InputError(f"{folder} has no {name}: run this in the project's root")


def default_remote(folder: Path) -> str | None:
    """The address of DVC's default remote, None if there is none.

    Raises:
        InputError: DVC's configuration is not right.
    """
    try:
        config = Config(str(folder / ".dvc"))
    except ConfigError as error:
        raise InputError(f".dvc/config: {error}") from error
    name = config["core"].get("remote")
    if name is None:
        return None
    if name not in config["remote"]:
        raise InputError(
            f".dvc/config: `core.remote` is {name!r}, which is not among the remotes that "
            "`dvc remote list` shows"
        )
    return str(config["remote"][name]["url"])


@contextmanager
def only_launcher(folder: Path) -> Iterator[int]:
    """Hold this folder's lock, which the items' processes inherit; wait for it if it is taken.

    So a launcher that is started after another one was killed waits for the items that still run.

    Yields:
        The lock's file descriptor.
    """
    path = folder / ".dvc/tmp/cluster/lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                "another launcher, or stages that one has left running, use this folder: waiting "
                "for their end",
                file=sys.stderr,
                flush=True,
            )
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def require_extra(engine: str, module: str) -> None:
    """Raise `InputError` unless an engine's package is installed."""
    if importlib.util.find_spec(module) is None:
        raise InputError(
            f"{module} is not installed: `pip install --require-hashes -r requirements-{engine}."
            f"lock` or `pip install 'fisor[{engine}]'` installs it"
        )


def require_shared_remote(folder: Path) -> None:
    """Raise `InputError` unless every clone of this project has the same DVC remote."""
    address = default_remote(folder)
    if address is None:
        raise InputError(
            "there is no default DVC remote, which carries outputs between machines: add one with "
            "`dvc remote add --default NAME ADDRESS`, then commit and push .dvc/config"
        )
    if address.startswith(("http://", "https://")):
        raise InputError(f"the DVC remote {address} is HTTP, which DVC's run cache cannot use")
    committed = configparser.ConfigParser()
    committed.read_string(git(folder, "show", "HEAD:.dvc/config"))
    name = committed.get("core", "remote", fallback=None)
    section = f"'remote \"{name}\"'"
    written = committed.get(section, "url", fallback=None)
    if written is None:
        raise InputError(
            "the default DVC remote is in .dvc/config.local or not committed: clones need it in "
            ".dvc/config (passwords and keys may stay in each machine's own configuration)"
        )
    if "://" not in written and not Path(written).is_absolute() and ":" not in written:
        raise InputError(
            f"the DVC remote `{name}` is at {written}, relative to this folder: clones need an "
            "absolute path or an address"
        )


def pushed_source(folder: Path, items: Mapping[str, Item]) -> Source:
    """What workers clone: the commit of this folder, and where it was pushed to.

    Raises:
        InputError: a file differs from the commit, or no remote has the commit.
    """
    # What the pipeline itself writes may differ: dvc.lock, and outputs that Git tracks.
    made = [Path(LOCK), *(Path(path) for item in items.values() for path in item.outputs)]
    dirty = []
    for line in git(folder, "status", "--porcelain", "--no-renames", "-z").split("\0"):
        path = Path(line[3:])
        if line and not any(path.is_relative_to(output) for output in made):
            dirty.append(str(path))
    if dirty:
        raise InputError(
            f"workers run a commit, but these files differ from it: {', '.join(dirty[:5])}"
            f"{' ...' if len(dirty) > 5 else ''}: commit and push, or remove them"
        )
    commit = git(folder, "rev-parse", "HEAD").strip()
    named = "--format=%(refname:lstrip=2)"
    branches = git(folder, "branch", "--remotes", "--contains", commit, named).split()
    if not branches:
        raise InputError(f"workers clone commit {commit[:10]}, which no Git remote has: push it")
    address = git(folder, "remote", "get-url", branches[0].partition("/")[0]).strip()
    if (folder / address).exists():  # a path, maybe relative
        address = str((folder / address).resolve())
    return Source(address, commit)
