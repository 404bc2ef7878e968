"""Which job runs which item, in a file: a launcher can go on where another one was killed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fisor.cluster.workplace import Source, Work, inputs_of
from fisor.outputs import atomic_file


class Job(NamedTuple):
    """A job, and what its result depends on beside the commit.

    Attributes:
        number: the queue's.
        inputs: path -> MD5.
    """

    number: str
    inputs: Mapping[str, str | None]


class Submitted:
    """The jobs of one launch that have not ended."""

    def __init__(self, path: Path, source: Source) -> None:
        """Read what another launcher has left.

        Args:
            path: the file, which may not be there.
            source: the commit of this launch.
        """
        self._path, self._source = path, list(source)
        self._jobs: dict[str, Job] = {}
        self.of_other_commits: list[str] = []  # the numbers of jobs that nobody needs
        if path.exists():
            left = json.loads(path.read_text(encoding="utf-8"))
            jobs = {name: Job(*job) for name, job in left["jobs"].items()}
            if left["source"] == self._source:
                self._jobs = jobs
            else:
                self.of_other_commits = [job.number for job in jobs.values()]

    def job_of(self, work: Work) -> str | None:
        """The number of the job of an item with the same inputs; None if there is none."""
        job = self._jobs.get(work.name)
        return job.number if job is not None and job.inputs == inputs_of(work) else None

    def add(self, works: Sequence[Work], numbers: Sequence[str]) -> None:
        """Keep the numbers of an array's jobs."""
        for work, number in zip(works, numbers, strict=True):
            self._jobs[work.name] = Job(number, inputs_of(work))
        self._write()

    def remove(self, name: str) -> None:
        """An item's job has ended."""
        self._jobs.pop(name, None)
        self._write()

    def numbers(self) -> list[str]:
        """Of all jobs that have not ended."""
        return [job.number for job in self._jobs.values()]

    def _write(self) -> None:
        kept: dict[str, Any] = {"source": self._source, "jobs": self._jobs}
        with atomic_file(self._path) as partial:
            partial.write_text(json.dumps(kept), encoding="utf-8")
