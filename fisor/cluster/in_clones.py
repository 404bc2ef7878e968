"""What engines with clones have in common: an item's work, and what is done with its outcome."""

from collections.abc import Mapping
from pathlib import Path

from fisor.cluster.engine import Ended
from fisor.cluster.pipeline import LOCK, Item, add_to_lock
from fisor.cluster.workplace import Outcome, Work


def work_of(folder: Path, items: Mapping[str, Item], name: str) -> Work:
    """An item's work, as dvc.lock is now."""
    lock = folder / LOCK
    item = items[name]
    inputs = [path for paths in item.needs.values() for path in paths]
    text = lock.read_text(encoding="utf-8") if lock.exists() else ""
    return Work(name, inputs, text, item.folders)


def take(folder: Path, name: str, log: Path, outcome: Outcome) -> Ended:
    """Write an item's log, and its entry into dvc.lock."""
    log.write_text(outcome.log, encoding="utf-8")
    if outcome.entry is None:
        return Ended(name, succeeded=False, lost=outcome.lost)
    add_to_lock(folder, name, outcome.entry)
    return Ended(name, succeeded=True)
