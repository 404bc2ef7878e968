"""Runs items as Ray tasks, each in a clone of the project on the machine that Ray chooses."""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from fisor.cluster.engine import Ended
from fisor.cluster.in_clones import take, work_of
from fisor.cluster.pipeline import Item
from fisor.cluster.workplace import Outcome, Source, Work, work_in_clone
from fisor.errors import InputError

GPU_MEMORY_SHARE = 0.9  # of a GPU, for all items that share it


class Places:
    """Where items run; an actor, which the tasks tell."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}

    def began(self, name: str, place: str) -> None:
        """An item has begun."""
        self._places[name] = place

    def all(self) -> dict[str, str]:
        """Every item that has begun, and where it did so last."""
        return self._places


def run_item(source: Source, work: Work, cores: int, gpus: float, places: Any) -> Outcome:
    """What a task does; Ray has set which GPUs it sees."""
    places.began.remote(work.name, f"{socket.gethostname()}, process {os.getpid()}")
    if 0 < gpus < 1:  # Ray counts fractions; that they fit into memory is up to us
        os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{GPU_MEMORY_SHARE * gpus:.3f}"
    return work_in_clone(source, work, cores)


class RayEngine:
    """An engine that hands every item to Ray at once; Ray queues them for its resources."""

    def __init__(
        self, folder: Path, items: Mapping[str, Item], source: Source,
        address: str | None, cpus: int, gpus: float,
    ) -> None:  # fmt: skip
        """Connect to a cluster, or start Ray on this machine.

        Args:
            folder: the project's, whose dvc.lock gets each item's entry.
            items: the pipeline's.
            source: what the workers clone.
            address: of a running cluster; None starts Ray here.
            cpus: processor cores per item.
            gpus: GPUs per item; items may share one.

        Raises:
            InputError: there is no cluster at this address, or none of its machines has room.
        """
        here = {"include_dashboard": False} if address is None else {}
        try:
            ray.init(address=address, log_to_driver=False, **here)
        except (ConnectionError, ValueError) as error:
            raise InputError(f"--address {address}: no Ray cluster answers ({error})") from error
        self._folder, self._items, self._source = folder, items, source
        # The launcher itself tries lost items again, and says so.
        options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0}
        # One process per item: what it sets for itself must not stay for the next.
        self._task = ray.remote(max_calls=1, **options)(run_item)
        self._cpus, self._gpus = cpus, gpus
        self._places = ray.remote(num_cpus=0, max_restarts=-1)(Places).remote()
        self._running: dict[Any, tuple[str, Path]] = {}

    def has_room(self) -> bool:
        """Ray has a queue."""
        return True

    def submit(self, name: str, log: Path) -> None:
        """Hand an item to Ray."""
        log.write_text("")
        work = work_of(self._folder, self._items, name)
        task = self._task.remote(self._source, work, self._cpus, self._gpus, self._places)
        self._running[task] = name, log

    def wait(self, seconds: float) -> Sequence[Ended]:
        """Wait until an item has ended, at most so long; returns all that have ended."""
        over, _ = ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return [self._ended(task) for task in over]

    def _ended(self, task: Any) -> Ended:
        name, log = self._running.pop(task)
        try:
            outcome = ray.get(task)
        except RayError as error:  # its process or its machine is gone
            log.write_text(f"{error}\n", encoding="utf-8")
            return Ended(name, succeeded=False, lost=True)
        return take(self._folder, name, log, outcome)

    def places(self) -> dict[str, str]:
        """The machine and process of each item that has begun."""
        running = {name for name, _ in self._running.values()}
        with suppress(RayError):
            began = ray.get(self._places.all.remote(), timeout=5)
            return {name: place for name, place in began.items() if name in running}
        return {}

    def close(self) -> None:
        """Stop what still runs, and disconnect."""
        for task in self._running:
            ray.cancel(task, force=True)
        self._running.clear()
        ray.shutdown()
