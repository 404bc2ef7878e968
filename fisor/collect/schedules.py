"""How the cost limit changes while a learner trains: each schedule covers a part of the plane.

A schedule is a function: share of its training done, 0 to 1 -> cost limit, as a share of the
highest cost of an episode in the dataset; infinite means no limit.
"""

import math
from collections.abc import Callable

Schedule = Callable[[float], float]

FREE = math.inf


def _ramp(done: float, first: float, last: float) -> float:
    """0 until `first`, 1 from `last` on, linear between."""
    return min(max((done - first) / (last - first), 0.0), 1.0)


def free_then_tightened(done: float) -> float:
    """High return at high cost first, then down along the front."""
    return FREE if done < 0.3 else 1.0 - _ramp(done, 0.3, 0.9)


def tightened_late(done: float) -> float:
    """A policy that has converged without a limit, whose limit then falls fast."""
    return FREE if done < 0.6 else 1.0 - _ramp(done, 0.6, 0.95)


def sawtooth(done: float) -> float:
    """From the highest cost to none, three times: the middle of the plane from many policies."""
    return 1.0 - (3.0 * done) % 1.0


def low(done: float) -> float:
    """Nearly no cost from the start: low return at low cost, and the safe end of the front."""
    return 0.1 * (1.0 - _ramp(done, 0.0, 0.8))


def rising(done: float) -> float:
    """From no cost up: a policy that was safe first keeps the best return at low cost."""
    return _ramp(done, 0.2, 1.0)


SCHEDULES: tuple[Schedule, ...] = (free_then_tightened, tightened_late, sawtooth, low, rising)
