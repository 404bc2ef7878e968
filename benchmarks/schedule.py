"""The launcher of `fisor.cluster` on simulated workers, whose clock only items advance."""

import heapq
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from fisor.cluster.engine import Ended
from fisor.cluster.launcher import State, launch
from fisor.cluster.pipeline import Item


class SimulatedEngine:
    """Workers that each take a known time for an item; see `fisor.cluster.engine.Engine`.

    It has a queue, as Ray and Slurm have: an item that was ready earlier starts earlier.

    Attributes:
        now: seconds since the start.
    """

    def __init__(self, seconds: Mapping[str, float], workers: int) -> None:
        """Workers that are all free.

        Args:
            seconds: of each item.
            workers: how many items run at once.
        """
        self.now = 0.0
        self._seconds, self._free = seconds, workers
        self._queue: deque[str] = deque()
        self._running: list[tuple[float, str]] = []  # a heap by the time of the end

    def has_room(self) -> bool:
        """There is a queue."""
        return True

    def submit(self, name: str, log: Path) -> None:
        """Put an item into the queue."""
        self._queue.append(name)
        self._start()

    def _start(self) -> None:
        while self._queue and self._free:
            name = self._queue.popleft()
            heapq.heappush(self._running, (self.now + self._seconds[name], name))
            self._free -= 1

    def wait(self, seconds: float) -> Sequence[Ended]:
        """Advance the clock to the next end; returns all items that end then."""
        self.now = self._running[0][0]
        ended = []
        while self._running and self._running[0][0] == self.now:
            ended.append(Ended(heapq.heappop(self._running)[1], succeeded=True))
            self._free += 1
        self._start()
        return ended

    def places(self) -> dict[str, str]:
        """Nobody asks."""
        return {}

    def close(self) -> None:
        """Nothing runs any more."""


class Silent:
    """A progress that shows nothing."""

    def changed(self, name: str, state: State, note: str = "") -> None:
        """Say nothing."""

    def show(self, places: Mapping[str, str]) -> None:
        """Draw nothing."""


def makespan(items: Mapping[str, Item], seconds: Mapping[str, float], workers: int) -> float:
    """Seconds until the launcher has run all items, none of which has run.

    Args:
        items: in an order in which they can run, all of them stale.
        seconds: of each item.
        workers: how many items run at once.
    """
    engine = SimulatedEngine(seconds, workers)
    with tempfile.TemporaryDirectory() as folder:  # for the logs, which stay empty
        launch(items, engine, Silent(), Path(folder), dict, keeps_uncached=True)
    return engine.now


def critical_path(items: Mapping[str, Item], seconds: Mapping[str, float]) -> list[str]:
    """The chain of items that takes longest, which no number of workers makes shorter.

    Args:
        items: in an order in which they can run.
        seconds: of each item.
    """
    until: dict[str, float] = {}  # seconds from the start to an item's end, with enough workers
    before: dict[str, str | None] = {}
    for name, item in items.items():
        before[name] = max(item.needs, key=until.__getitem__, default=None)
        last = before[name]
        until[name] = seconds[name] + (0.0 if last is None else until[last])
    chain: list[str] = []
    name_or_none: str | None = max(until, key=until.__getitem__)
    while name_or_none is not None:
        chain.append(name_or_none)
        name_or_none = before[name_or_none]
    return chain[::-1]


def enough_workers(items: Mapping[str, Item], seconds: Mapping[str, float], within: float) -> int:
    """The least number of workers that need at most `within` times the critical path, by bisection.

    One worker per item is always enough; the work per worker must not exceed that time, either.
    """
    bound = within * sum(seconds[name] for name in critical_path(items, seconds))
    few, many = max(1, int(sum(seconds.values()) / bound)), len(items)
    while few < many:
        middle = (few + many) // 2
        if makespan(items, seconds, middle) > bound:
            few = middle + 1
        else:
            many = middle
    return many
