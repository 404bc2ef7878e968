"""A machine's clones of the project: which one an item gets, and which processor cores."""

import fcntl
import hashlib
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def clones_of(address: str) -> Path:
    """The folder of this machine's clones of a Git repository.

    It is below $XDG_CACHE_HOME, by default ~/.cache.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(address.encode()).hexdigest()[:12]
    return cache / "fisor/clones" / digest


@contextmanager
def free_clone(clones: Path, commit: str, item: str) -> Iterator[tuple[Path, int, IO[str]]]:
    """The folder of a clone that no other item uses, kept for this block.

    A clone in which an item of this commit was killed is kept for that item: its checkpoint is
    there. `finish` ends that.

    Yields:
        The folder (which may not be there yet), its number, and the open file that is locked.
    """
    clones.mkdir(parents=True, exist_ok=True)
    mine = f"{commit} {item}"
    there = sorted(int(path.stem) for path in clones.glob("*.lock"))

    def is_free(kept_for: str) -> bool:
        return not kept_for.startswith(f"{commit} ")

    for numbers, wanted in ((there, mine.__eq__), (itertools.count(), is_free)):
        for number in numbers:
            path = clones / f"{number}.lock"
            with path.open("a", encoding="utf-8") as lock:
                if not wanted(path.read_text()):  # not even locked for a moment: it may be wanted
                    continue
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                if wanted(path.read_text()):
                    lock.truncate(0)
                    lock.write(mine)
                    lock.flush()
                    yield clones / str(number), number, lock
                    return


def finish(lock: IO[str]) -> None:
    """Keep a clone no longer for the item that ran in it."""
    lock.truncate(0)


def limit_to_share(number: int, cores: int) -> None:
    """Let this process and those that it starts use only the cores of the clone of that number."""
    there = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {there[(number * cores + k) % len(there)] for k in range(cores)})
