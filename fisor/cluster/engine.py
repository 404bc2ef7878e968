"""What runs the items: submit one, wait for any."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol


class Ended(NamedTuple):
    """An item that no longer runs.

    Attributes:
        name: the item's.
        succeeded: whether its outputs are there.
        lost: whether the worker was killed or its machine went away: no fault of the item's.
    """

    name: str
    succeeded: bool
    lost: bool = False


class Engine(Protocol):
    """Runs items side by side; it knows nothing of their order."""

    def has_room(self) -> bool:
        """Whether a further item may be submitted now."""

    def submit(self, name: str, log: Path) -> None:
        """Start an item, or hand it to a queue.

        Args:
            name: the item's.
            log: the file for what it prints; its folder exists.
        """

    def wait(self, seconds: float) -> Sequence[Ended]:
        """Wait until an item has ended, at most so long; returns all that have ended."""

    def places(self) -> dict[str, str]:
        """Where each item runs that was submitted and has not ended; empty if it is queued."""

    def close(self) -> None:
        """Stop what still runs."""
