"""Runs items as Slurm jobs, through submitit: arrays of the items that are ready together."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, UncompletedJobError

from fisor.cluster.engine import Ended
from fisor.cluster.in_clones import take, work_of
from fisor.cluster.pipeline import Item
from fisor.cluster.submitted import Submitted
from fisor.cluster.workplace import Outcome, Source, Work, work_in_clone
from fisor.errors import InputError

NAME = "fisor"  # of the jobs
POLL_SECONDS = 1.0
MOST_TIMEOUTS = 1000  # how often an item may use up its minutes
# A job that squeue no longer lists may have a result that the file system does not show yet.
RESULT_SECONDS = 20


class RunItem:
    """What a job does. Slurm starts it again if its time is over or its machine goes away."""

    def __call__(self, source: Source, work: Work, cores: int) -> Outcome:
        """Run an item in a clone of the machine.

        Raises:
            SystemExit: a command was killed. There is no result then: Slurm, which may have killed
                it, knows whether the job is queued again or gone.
        """
        outcome = work_in_clone(source, work, cores)
        if outcome.lost:
            print(outcome.log, file=sys.stderr, flush=True)
            sys.exit(1)
        return outcome

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
        listed = _our_jobs()
        if listed is None:
            raise InputError("`squeue` fails: Slurm is not installed here or does not answer")
        self._folder, self._items, self._source = folder, items, source
        self._cpus, self._jobs = cpus, jobs
        self._jobs_folder = folder / ".dvc/tmp/cluster/slurm"
        self._executor = submitit.SlurmExecutor(self._jobs_folder, max_num_timeout=MOST_TIMEOUTS)
        options: dict[str, Any] = {
            "job_name": NAME, "time": minutes, "cpus_per_task": cpus, "array_parallelism": jobs,
        }  # fmt: skip
        if gpus:
            options["gpus_per_node"] = gpus
        if partition:
            options["partition"] = partition
        self._executor.update_parameters(**options)
        self._ready: list[tuple[Work, Path]] = []
        self._running: dict[str, tuple[Any, Path]] = {}
        self._gone: dict[str, float] = {}  # since when squeue does not list it
        self._listed = listed
        self._submitted = Submitted(self._jobs_folder / "jobs.json", source)
        _cancel(self._submitted.of_other_commits)

    def has_room(self) -> bool:
        """Whether fewer items than asked for are queued or run."""
        return len(self._ready) + len(self._running) < self._jobs

    def submit(self, name: str, log: Path) -> None:
        """Take an item into the next array, unless a launcher that was killed left its job."""
        log.write_text("")
        work = work_of(self._folder, self._items, name)
        number = self._submitted.job_of(work)
        if number is not None:
            job = submitit.SlurmJob(self._jobs_folder, number)
            if number in self._listed or job.paths.result_pickle.exists():
                self._running[name] = job, log
                return
        self._ready.append((work, log))

    def wait(self, seconds: float) -> Sequence[Ended]:
        """Submit the array, then wait until an item has ended; returns all that have ended.

        Raises:
            InputError: Slurm does not take it.
        """
        if self._ready:
            works = [work for work, _ in self._ready]
            try:
                with self._executor.batch():
                    task = RunItem(), self._source
                    jobs = [self._executor.submit(*task, work, self._cpus) for work in works]
            except FailedJobError as error:
                raise InputError(f"Slurm does not take the jobs: {error}") from error
            self._submitted.add(works, [job.job_id for job in jobs])
            for (work, log), job in zip(self._ready, jobs, strict=True):
                self._running[work.name] = job, log
            self._ready = []
        time.sleep(max(seconds, POLL_SECONDS))
        listed = _our_jobs()
        if listed is not None:
            self._listed = listed
        ended = (self._ended(name, listed is not None) for name in list(self._running))
        return [one for one in ended if one is not None]

    def _ended(self, name: str, is_known: bool) -> Ended | None:
        job, log = self._running[name]
        if job.paths.result_pickle.exists():
            try:
                ended = take(self._folder, name, log, job.result())
            except UncompletedJobError as error:
                log.write_text(f"{error}\n", encoding="utf-8")
                ended = Ended(name, succeeded=False)
            self._forget(name)
            return ended
        if job.job_id in self._listed or not is_known:  # Slurm itself may be away for a while
            self._gone.pop(name, None)
            return None
        if time.monotonic() - self._gone.setdefault(name, time.monotonic()) < RESULT_SECONDS:
            return None
        log.write_text(f"{job.stderr() or ''}\nthe job {job.job_id} is gone\n", encoding="utf-8")
        self._forget(name)
        return Ended(name, succeeded=False, lost=True)

    def _forget(self, name: str) -> None:
        del self._running[name]
        self._gone.pop(name, None)
        self._submitted.remove(name)

    def places(self) -> dict[str, str]:
        """The job's number, its state, and its machine or why it is not run yet."""
        listed = {name: self._listed.get(job.job_id) for name, (job, _) in self._running.items()}
        return {
            name: f"job {self._running[name][0].job_id} {place}"
            for name, place in listed.items()
            if place
        }

    def close(self) -> None:
        """Cancel what is queued or runs, also what another launcher left and nobody needs."""
        _cancel(self._submitted.numbers())
        for name in list(self._running):
            self._forget(name)


def _cancel(numbers: Sequence[str]) -> None:
    """Cancel jobs, some of which may have ended."""
    if numbers:
        command = ("scancel", f"--name={NAME}", *numbers)
        subprocess.run(command, capture_output=True, check=False)


def _our_jobs() -> dict[str, str] | None:
    """State and place of the jobs that are queued or run, by number; None if Slurm is away."""
    options = ("--noheader", "--array", "--format=%i %T %R", f"--name={NAME}", "--me")
    try:
        done = subprocess.run(["squeue", *options], text=True, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    if done.returncode:
        return None
    lines = (line.partition(" ") for line in done.stdout.splitlines())
    return {job: place for job, _, place in lines}
