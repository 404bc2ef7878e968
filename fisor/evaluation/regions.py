"""How well a learned feasible region agrees with the true one."""

from typing import NamedTuple

import numpy as np

from fisor.envs.truth import Slice, Truth

GRID_POINTS = 151  # along x and y: 0.04 apart on PointRobot's plane


class Agreement(NamedTuple):
    """Shares that compare infeasible sets; the truth is the least violation over manoeuvres.

    Attributes:
        intersection_over_union: of the learned and the true infeasible set.
        infeasible_called_feasible: share of the truly infeasible states: the dangerous error.
        feasible_called_infeasible: share of the truly feasible states.
    """

    intersection_over_union: float
    infeasible_called_feasible: float
    feasible_called_infeasible: float


def grid_states(
    half_width: float, where: Slice, points: int = GRID_POINTS
) -> tuple[np.ndarray, np.ndarray]:
    """The axis `[points]` and the states `[points * points, 4]` of a slice, rows of equal y."""
    axis = np.linspace(-half_width, half_width, points)
    x, y = np.meshgrid(axis, axis)
    rest = [np.full(x.size, where.speed), np.full(x.size, np.deg2rad(where.heading_degrees))]
    return axis, np.stack([x.ravel(), y.ravel(), *rest], axis=-1).astype(np.float32)


def agreement(feasible_value: np.ndarray, true_violation: np.ndarray) -> Agreement:
    """Compare the sets where two values are above 0.

    Args:
        feasible_value: `[n]` V_h, or another oracle's violation.
        true_violation: `[n]` from `least_violation`.
    """
    called, truly = feasible_value > 0, true_violation > 0
    return Agreement(
        intersection_over_union=float((called & truly).sum() / (called | truly).sum()),
        infeasible_called_feasible=float((truly & ~called).sum() / truly.sum()),
        feasible_called_infeasible=float((called & ~truly).sum() / (~truly).sum()),
    )


class SliceTruth(NamedTuple):
    """A slice's states and both ground truths.

    Attributes:
        axis: `[n]` coordinates along x and y.
        states: `[n * n, 4]`.
        observations: `[n * n, obs_dim]`.
        true_violation: `[n * n]` least worst violation over all evading manoeuvres.
        papers_violation: `[n * n]` by the paper's one manoeuvre per hazard.
    """

    axis: np.ndarray
    states: np.ndarray
    observations: np.ndarray
    true_violation: np.ndarray
    papers_violation: np.ndarray


def slice_truth(truth: Truth, where: Slice) -> SliceTruth:
    """Both ground truths over a slice."""
    axis, states = grid_states(truth.plane.half_width, where)
    return SliceTruth(
        axis=axis,
        states=states,
        observations=truth.observe(states),
        true_violation=truth.least_violation(states),
        papers_violation=truth.papers_violation(states),
    )
