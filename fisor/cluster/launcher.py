"""Submits each item as soon as all that it depends on are done; a failure stops only what needs it.

DVC decides what is up to date, so a launcher that was killed may be started again.
"""

import enum
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from fisor.cluster.engine import Engine
from fisor.cluster.pipeline import Item, is_up_to_date

WAIT_SECONDS = 1.0
TRIES = 3  # for items whose worker is lost


class State(enum.Enum):
    """Where an item stands; the values are shown."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"  # it depends on an item that failed
    HEAD = "left to the last dvc repro"  # not all of its outputs are cached


class Progress(Protocol):
    """Is told of each change, and about once a second."""

    def changed(self, name: str, state: State, note: str = "") -> None:
        """An item has a new state."""

    def show(self, places: Mapping[str, str]) -> None:
        """The items that run now, and where."""


def log_path(folder: Path, name: str) -> Path:
    """The file of what an item prints, in a folder that Git ignores."""
    return folder / ".dvc/tmp/cluster/logs" / f"{name.replace('/', '_')}.log"


def launch(
    items: Mapping[str, Item],
    engine: Engine,
    progress: Progress,
    folder: Path,
    lock: Callable[[], Mapping[str, Any]],
    keeps_uncached: bool,
) -> dict[str, State]:
    """Run the items that are not up to date.

    Args:
        items: from `fisor.cluster.pipeline.read_items`, in that order.
        engine: what runs them.
        progress: shows what happens.
        folder: the project's, for the logs.
        lock: reads the entries of dvc.lock, which a finished item has changed.
        keeps_uncached: whether the engine's items leave their outputs in `folder`. Otherwise those
            with outputs that DVC does not cache, and what depends on them, are left alone.

    Returns:
        The final state of each item.
    """
    states = dict.fromkeys(items, State.WAITING)
    ran: set[str] = set()
    tries = dict.fromkeys(items, 0)

    def change(name: str, state: State, note: str = "") -> None:
        states[name] = state
        progress.changed(name, state, note)

    def settle() -> None:
        """Advance every item that waits for nothing, in the order of `items`."""
        entries: Mapping[str, Any] | None = None
        for name, item in items.items():
            if states[name] is not State.WAITING:
                continue
            needed = {states[need] for need in item.needs}
            if needed & {State.FAILED, State.SKIPPED}:
                change(name, State.SKIPPED)
            elif needed & {State.WAITING, State.RUNNING}:
                continue
            elif State.HEAD in needed:
                change(name, State.HEAD)
            elif not item.stale and not ran.intersection(item.needs):
                change(name, State.DONE, "up to date")
            else:
                entries = lock() if entries is None else entries
                if is_up_to_date(item, ran, entries):
                    change(name, State.DONE, "up to date")
                elif not (keeps_uncached or item.travels):
                    change(name, State.HEAD)
                elif engine.has_room():
                    tries[name] += 1
                    log = log_path(folder, name)
                    log.parent.mkdir(parents=True, exist_ok=True)
                    engine.submit(name, log)
                    change(name, State.RUNNING)

    try:
        settle()
        while State.RUNNING in states.values():
            ended = engine.wait(WAIT_SECONDS)
            for one in ended:
                if one.lost and tries[one.name] < TRIES:
                    change(one.name, State.WAITING, "its worker was lost; once more")
                elif one.succeeded:
                    ran.add(one.name)
                    change(one.name, State.DONE)
                else:
                    change(one.name, State.FAILED, f"log: {log_path(folder, one.name)}")
            if ended:
                settle()
            progress.show(engine.places())
    finally:
        engine.close()
    return states
