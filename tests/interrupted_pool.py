"""A simulators' pool that is interrupted, as by Ctrl-C."""

from collections.abc import Sequence
from typing import Any

import pytest

from fisor.envs.pool import SimulatorPool


def interrupt(patch: pytest.MonkeyPatch, at_call: int) -> list[Sequence[Any]]:
    """Interrupt the call of `SimulatorPool.run` of this number, from 1, until the patch is undone.

    Returns:
        The jobs of each call so far; it grows with each further one. A collection's first call asks
        for the sizes.
    """
    run = SimulatorPool.run
    calls: list[Sequence[Any]] = []

    def failing(self: SimulatorPool, jobs: Sequence[Any]) -> list[Any]:
        calls.append(jobs)
        if len(calls) == at_call:
            raise KeyboardInterrupt
        return run(self, jobs)

    patch.setattr(SimulatorPool, "run", failing)
    return calls
