"""What must be so before anything is started."""

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.config import Config, ConfigError

from fisor.errors import InputError


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


def git(folder: Path, *arguments: str) -> str:
    """The output of a Git command.

    Raises:
        InputError: Git fails.
    """
    done = subprocess.run(
        ["git", *arguments], cwd=folder, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise InputError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
