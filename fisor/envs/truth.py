"""The true feasible region of a robot on a plane, for suites where it is known."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Slice(NamedTuple):
    """The plane at one speed (units of length per second) and heading (degrees)."""

    speed: float
    heading_degrees: float

    @property
    def name(self) -> str:
        """A name for tables and metrics, such as `v1.5_45deg`."""
        return f"v{self.speed:g}_{self.heading_degrees:g}deg"


class Disc(NamedTuple):
    """A disc on the plane."""

    centre: tuple[float, float]
    radius: float


class Plane(NamedTuple):
    """The objects on the plane.

    Attributes:
        half_width: the plane is a square around the origin.
        hazards: where the constraint is violated.
        goal: where the robot is to go.
    """

    half_width: float
    hazards: tuple[Disc, ...]
    goal: Disc


class Truth(NamedTuple):
    """The true feasible region of a robot with state (x, y, speed, heading).

    Attributes:
        plane: where it moves.
        slices: the speeds and headings at which regions are compared; the first three are the
            paper's Figure 1 (c)-(e).
        feasible_starts: reset seeds `[B]` -> whether each start is truly feasible, `[B]` bool.
        observe: states `[n, 4]` -> the agent's observations of them, `[n, obs_dim]`.
        least_violation: states `[n, 4]` -> V_h* of Definition 1, `[n]`; at most 0 is feasible.
        papers_violation: the same by the paper's own ground truth (Appendix D.1).
    """

    plane: Plane
    slices: tuple[Slice, ...]
    feasible_starts: Callable[[np.ndarray], np.ndarray]
    observe: Callable[[np.ndarray], np.ndarray]
    least_violation: Callable[[np.ndarray], np.ndarray]
    papers_violation: Callable[[np.ndarray], np.ndarray]
