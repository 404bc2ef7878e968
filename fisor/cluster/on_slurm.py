"""Runs items as Slurm jobs, through submitit: arrays of the items that are ready together."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, UncompletedJobError

from fisor.cluster.engine import Ended
from fisor.cluster.in_clones import take, work_of
from fisor.cluster.pipeline import Item
from fisor.cluster.workplace import Outcome, Source, Work, work_in_clone
from fisor.errors import InputError

POLL_SECONDS = 1.0
MOST_TIMEOUTS = 1000  # how often an item may use up its minutes
# A job that squeue no longer lists may have a result that the file system does not show yet.
RESULT_SECONDS = 20


class RunItem:
    """What a job does. Slurm starts it again if its time is over or its machine goes away."""

    def __call__(self, source: Source, work: Work, cores: int) -> Outcome:
        """Run an item in a clone of the machine."""
        return work_in_clone(source, work, cores)

    def checkpoint(self, *arguments: Any) -> submitit.helpers.DelayedSubmission:
        """What submitit queues again when the time is over: the same, from its checkpoint on."""
        return submitit.helpers.DelayedSubmission(RunItem(), *arguments)


class SlurmEngine:
    """An engine that submits an array of jobs at a time; `squeue` says which of them are left."""

    def __init__(
        self, folder: Path, items: Mapping[str, Item], source: Source, cpus: int, gpus: int,
        jobs: int, minutes: int, partition: str | None,
    ) -> None:  # fmt: skip
        """Find Slurm.

        Args:
            folder: the project's, on a file system that the machines share.
            items: the pipeline's.
            source: what the workers clone.
            cpus: processor cores per item.
            gpus: GPUs per item.
            jobs: how many items are queued or run at once.
            minutes: for an item, after which it is queued again and goes on.
            partition: Slurm's; None for its default.

        Raises:
            InputError: Slurm does not answer.
        """
        if _squeue("--noheader") is None:
            raise InputError("`squeue` fails: Slurm is not installed here or does not answer")
        self._folder, self._items, self._source = folder, items, source
        self._cpus, self._jobs = cpus, jobs
        self._executor = submitit.SlurmExecutor(
            folder / ".dvc/tmp/cluster/slurm", max_num_timeout=MOST_TIMEOUTS
        )
        options: dict[str, Any] = {
            "job_name": "fisor", "time": minutes, "cpus_per_task": cpus, "array_parallelism": jobs,
        }  # fmt: skip
        if gpus:
            options["gpus_per_node"] = gpus
        if partition:
            options["partition"] = partition
        self._executor.update_parameters(**options)
        self._ready: list[tuple[str, Path]] = []
        self._running: dict[str, tuple[Any, Path]] = {}
        self._gone: dict[str, float] = {}  # since when squeue does not list it
        self._listed: dict[str, str] = {}

    def has_room(self) -> bool:
        """Whether fewer items than asked for are queued or run."""
        return len(self._ready) + len(self._running) < self._jobs

    def submit(self, name: str, log: Path) -> None:
        """Take an item into the next array."""
        log.write_text("")
        self._ready.append((name, log))

    def wait(self, seconds: float) -> Sequence[Ended]:
        """Submit the array, then wait until an item has ended; returns all that have ended.

        Raises:
            InputError: Slurm does not take it.
        """
        if self._ready:
            try:
                with self._executor.batch():
                    jobs = [self._submitted(name) for name, _ in self._ready]
            except FailedJobError as error:
                raise InputError(f"Slurm does not take the jobs: {error}") from error
            for (name, log), job in zip(self._ready, jobs, strict=True):
                self._running[name] = job, log
            self._ready = []
        time.sleep(max(seconds, POLL_SECONDS))
        listed = _squeue("--noheader", "--array", "--format=%i %T %R", "--name=fisor", "--me")
        if listed is not None:
            self._listed = {job: place for job, _, place in (w.partition(" ") for w in listed)}
        ended = (self._ended(name, listed is not None) for name in list(self._running))
        return [one for one in ended if one is not None]

    def _submitted(self, name: str) -> Any:
        work = work_of(self._folder, self._items, name)
        return self._executor.submit(RunItem(), self._source, work, self._cpus)

    def _ended(self, name: str, is_known: bool) -> Ended | None:
        job, log = self._running[name]
        if job.paths.result_pickle.exists():
            del self._running[name]
            self._gone.pop(name, None)
            try:
                outcome = job.result()
            except UncompletedJobError as error:
                log.write_text(f"{error}\n", encoding="utf-8")
                return Ended(name, succeeded=False)
            return take(self._folder, name, log, outcome)
        if job.job_id in self._listed or not is_known:  # Slurm itself may be away for a while
            self._gone.pop(name, None)
            return None
        if time.monotonic() - self._gone.setdefault(name, time.monotonic()) < RESULT_SECONDS:
            return None
        del self._running[name], self._gone[name]
        log.write_text(f"{job.stderr() or ''}\nthe job {job.job_id} is gone\n", encoding="utf-8")
        return Ended(name, succeeded=False, lost=True)

    def places(self) -> dict[str, str]:
        """The job's number, its state, and its machine or why it is not run yet."""
        listed = {name: self._listed.get(job.job_id) for name, (job, _) in self._running.items()}
        return {
            name: f"job {self._running[name][0].job_id} {place}"
            for name, place in listed.items()
            if place
        }

    def close(self) -> None:
        """Cancel what is queued or runs."""
        for job, _ in self._running.values():
            job.cancel(check=False)
        self._running.clear()


def _squeue(*options: str) -> list[str] | None:
    """The lines of `squeue`; None if it fails."""
    try:
        done = subprocess.run(["squeue", *options], text=True, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.splitlines() if done.returncode == 0 else None
