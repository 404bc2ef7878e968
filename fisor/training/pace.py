"""How long a training will take, by its measured rate; said once where that is long."""

import sys
import time

from tqdm import tqdm

LONG_SECONDS = 3600.0


class Pace:
    """Measures a training's rate; prints the time left if it is long, also without a terminal.

    The first chunk of each length is left out: it includes compilation.
    """

    def __init__(self, name: str, steps: int, advice: str) -> None:
        """Start the clock.

        Args:
            name: name of the training.
            steps: updates at its end.
            advice: added if not empty, as what to do without a GPU.
        """
        self._name, self._steps, self._advice = name, steps, advice
        self._compiled: set[int] = set()
        self._since, self._measured = time.monotonic(), False

    def advanced(self, done: int, length: int) -> None:
        """Note the end of a chunk of `length` updates, after which `done` are done."""
        now = time.monotonic()
        if not self._measured and length in self._compiled:
            self._measured = True
            rate = length / max(now - self._since, 1e-9)
            if (left := (self._steps - done) / rate) > LONG_SECONDS:
                advice = f"; without a GPU, {self._advice}" if self._advice else ""
                text = f"{self._name}: {in_words(left)} left at {rate:.3g} updates/s{advice}"
                tqdm.write(text, file=sys.stderr)
        self._compiled.add(length)
        self._since = now


def in_words(seconds: float) -> str:
    """A duration such as "about 40 h", "about 25 min"."""
    if seconds >= 2 * 3600:
        return f"about {seconds / 3600:.0f} h"
    return f"about {seconds / 60:.0f} min" if seconds >= 60 else "less than a minute"
