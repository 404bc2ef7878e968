"""Shows how far the items are: a table where there is a terminal, else a line per change."""

import shutil
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TextIO

from fisor.cluster.launcher import State

COLUMNS = (State.WAITING, State.RUNNING, State.DONE, State.FAILED, State.SKIPPED)


def stage_of(name: str) -> str:
    """The stage of an item of its matrix."""
    return name.partition("@")[0]


def seconds_left(
    running: Mapping[str, float], waiting: Iterable[str], took: Mapping[str, list[float]], room: int
) -> float | None:
    """An estimate of the seconds left, from how long each stage's items took so far.

    It shares the work equally among the workers, so it is too low where the last items form a
    chain.

    Args:
        running: seconds since each item began that runs now.
        waiting: the items that have not begun.
        took: the seconds that items took, by stage.
        room: how many have run at once.

    Returns:
        None as long as nothing has finished. A stage of which nothing has finished counts as the
        mean of the others.
    """
    if not any(took.values()):
        return None
    mean = {stage: statistics.fmean(seconds) for stage, seconds in took.items() if seconds}
    other = statistics.fmean(mean.values())
    whole = sum(mean.get(stage_of(name), other) for name in waiting)
    rest = [max(mean.get(stage_of(n), other) - since, 0.0) for n, since in running.items()]
    return max([(whole + sum(rest)) / max(room, 1), *rest])


def in_words(seconds: float) -> str:
    """Seconds below two minutes, then minutes, then hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


class Shown:
    """The progress of a launch, on a stream."""

    def __init__(self, names: Iterable[str], stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._states = dict.fromkeys(names, State.WAITING)
        self._began: dict[str, float] = {}
        self._took: dict[str, list[float]] = defaultdict(list)
        self._told: dict[str, str] = {}
        self._room = 0  # most that ran at once
        self._lines = 0  # of the table that stands on the terminal

    def changed(self, name: str, state: State, note: str = "") -> None:
        """Take note of an item's new state, and say it."""
        self._states[name] = state
        said = state.value
        if state is State.RUNNING:
            self._began[name] = time.monotonic()
            self._room = max(self._room, Counter(self._states.values())[State.RUNNING])
        elif name in self._began:
            took = time.monotonic() - self._began.pop(name)
            if state is State.DONE:
                self._took[stage_of(name)].append(took)
            said += f" after {in_words(took)}"
        self._told.pop(name, None)
        # A terminal has the table; what ended badly stays above it.
        if not self._stream.isatty():
            self._print(f"{name}: {said}{f' ({note})' if note else ''}{self._left(state)}")
        elif state is State.FAILED or (state is State.WAITING and note):
            self._erase()
            self._print(f"{name}: {said} ({note})")

    def show(self, places: Mapping[str, str]) -> None:
        """Draw the table anew; without a terminal, say where items run that are new there."""
        if self._stream.isatty():
            self._erase()
            table = self._table(places)
            self._lines = len(table)
            self._print("\n".join(table))
            return
        for name, place in places.items():
            if self._told.get(name) != place:
                self._told[name] = place
                self._print(f"{name}: on {place}")

    def _left(self, state: State) -> str:
        if state is not State.DONE or (left := self._seconds_left()) is None:
            return ""
        open_items = sum(s in (State.WAITING, State.RUNNING) for s in self._states.values())
        return f"; {open_items} to go, about {in_words(left)}" if open_items else ""

    def _seconds_left(self) -> float | None:
        now = time.monotonic()
        running = {name: now - began for name, began in self._began.items()}
        waiting = [name for name, state in self._states.items() if state is State.WAITING]
        return seconds_left(running, waiting, self._took, self._room)

    def _table(self, places: Mapping[str, str]) -> list[str]:
        counts: dict[str, Counter[State]] = defaultdict(Counter)
        for name, state in self._states.items():
            counts[stage_of(name)][state] += 1
        width = max(map(len, counts))
        lines = [f"{'':{width}}" + "".join(f"{column.value:>9}" for column in COLUMNS)]
        for stage, states in counts.items():
            cells = (str(states[column] or "") for column in COLUMNS)
            lines.append(f"{stage:{width}}" + "".join(f"{cell:>9}" for cell in cells))
        now = time.monotonic()
        for name, began in self._began.items():
            place = places.get(name, "queued")
            lines.append(f"  {name}  {in_words(now - began)}  {place}")
        left = self._seconds_left()
        lines.append("time left: " + ("unknown yet" if left is None else f"about {in_words(left)}"))
        columns, rows = shutil.get_terminal_size()
        return [line[: columns - 1] for line in lines[-(rows - 1) :]]

    def _erase(self) -> None:
        if self._lines:
            self._stream.write(f"\x1b[{self._lines}A\x1b[J")
            self._lines = 0

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
