"""Runs items in this folder, each in a process with processor cores of its own."""

import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from fisor.cluster.engine import Ended
from fisor.cluster.pipeline import Item
from fisor.cluster.workplace import STAGE_KILLED, environment

STOP_SECONDS = 20  # for a training to end


class _Running(NamedTuple):
    process: subprocess.Popen
    end: int  # a file descriptor that can be read when the process has ended
    worker: int
    log: Path


class LocalEngine:
    """An engine of processes that share this folder; DVC's own locks keep them apart.

    Two items on the same cores take more than twice as long, since each starts as many threads as
    it sees cores. So each worker has its share of them.
    """

    def __init__(
        self, folder: Path, items: Mapping[str, Item], workers: int, remote: bool, held: int
    ) -> None:
        """An engine.

        Args:
            folder: the project's.
            items: all stages by name.
            workers: how many items run at once.
            remote: whether outputs that are missing may be pulled from a DVC remote.
            held: a file descriptor that each process keeps open: the launcher's lock on the folder.
        """
        self._folder, self._items, self._remote, self._held = folder, items, remote, held
        self._cores = shares(sorted(os.sched_getaffinity(0)), workers)
        self._running: dict[str, _Running] = {}

    def has_room(self) -> bool:
        """Whether a worker is free."""
        return len(self._running) < len(self._cores)

    def submit(self, name: str, log: Path) -> None:
        """Start an item."""
        taken = {one.worker for one in self._running.values()}
        worker = next(w for w in range(len(self._cores)) if w not in taken)
        with log.open("w") as printed:
            process = subprocess.Popen(
                self._command(name), cwd=self._folder,
                env=environment(self._folder), stdout=printed, stderr=subprocess.STDOUT,
                start_new_session=True, pass_fds=[self._held],
            )  # fmt: skip
        with suppress(ProcessLookupError):  # it ended at once
            os.sched_setaffinity(process.pid, self._cores[worker])
        self._running[name] = _Running(process, os.pidfd_open(process.pid), worker, log)

    def _command(self, name: str) -> list[str]:
        dvc = [sys.executable, "-m", "dvc", "--wait-for-lock"]
        repro = [*dvc, "repro", "--single-item", *(["--pull"] if self._remote else []), name]
        item = self._items[name]
        # DVC itself pulls missing outputs, but not those in a folder that is the dependency.
        missing = [
            path
            for paths in item.needs.values()
            for path in paths
            if self._remote and item.folders and not (self._folder / path).exists()
        ]
        if not missing:
            return repro
        return ["sh", "-c", f"{shlex.join([*dvc, 'pull', *missing])} && exec {shlex.join(repro)}"]

    def wait(self, seconds: float) -> Sequence[Ended]:
        """Wait until an item has ended, at most so long; returns all that have ended."""
        select.select([one.end for one in self._running.values()], [], [], seconds)
        ended = []
        for name, one in list(self._running.items()):
            code = one.process.poll()
            if code is not None:
                os.close(one.end)
                del self._running[name]
                if code < 0:  # what it had started must not write beside its next try
                    _signal(one.process, signal.SIGKILL)
                lost = code < 0 or (code > 0 and _stage_was_killed(one.log))
                ended.append(Ended(name, code == 0, lost))
        return ended

    def places(self) -> dict[str, str]:
        """Which worker runs an item, and on which cores."""
        return {
            name: f"worker {one.worker + 1}, {_in_words(self._cores[one.worker])}"
            for name, one in self._running.items()
        }

    def close(self) -> None:
        """Stop what still runs; a training that is run again goes on from its checkpoint."""
        for one in self._running.values():
            _signal(one.process, signal.SIGTERM)
        for one in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                one.process.wait(STOP_SECONDS)
            _signal(one.process, signal.SIGKILL)
            one.process.wait()
            os.close(one.end)
        self._running.clear()


def _stage_was_killed(log: Path) -> bool:
    """Whether DVC says that the stage's own command was killed, as for want of memory."""
    return STAGE_KILLED.search(log.read_text(encoding="utf-8", errors="replace")) is not None


def shares(cores: Sequence[int], workers: int) -> list[list[int]]:
    """Each worker's cores: neighbours, as equal in number as can be, at least one each."""
    if workers > len(cores):
        return [[cores[worker % len(cores)]] for worker in range(workers)]
    bounds = [len(cores) * worker // workers for worker in range(workers + 1)]
    return [list(cores[low:high]) for low, high in pairwise(bounds)]


def _in_words(cores: Sequence[int]) -> str:
    return f"core {cores[0]}" if len(cores) == 1 else f"cores {', '.join(map(str, cores))}"


def _signal(process: subprocess.Popen, number: int) -> None:
    """Send a signal to a process and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
