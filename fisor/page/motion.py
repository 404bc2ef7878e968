"""Data of the page's moving pictures of a plane: robots on their way, and the feasible region.

Numbers are quantised and written as base64, which takes a tenth of their JSON.
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from fisor.critics.trained import TrainedCritic
from fisor.envs.truth import Plane, Slice, Truth
from fisor.evaluation.regions import grid_states

EPISODES = 20  # of a method's first seed, in the animation
GRID_POINTS = 41  # along x and y, of the region with sliders
SPEEDS = (0.5, 1.0, 1.5, 2.0)  # units of length per second
HEADINGS = tuple(range(0, 360, 45))  # degrees
POSITION_UNITS = 8000  # of a position per half of the plane's width
ANGLE_UNITS = 5000  # per radian
VALUE_UNITS = 1000  # per unit of V_h


def encoded(values: np.ndarray, kind: str) -> str:
    """Little-endian numbers of a kind, such as `<i2`, as base64; rounded and clipped to it."""
    limits = np.iinfo(kind)
    clipped = np.clip(np.round(values), limits.min, limits.max)
    return base64.b64encode(clipped.astype(kind).tobytes()).decode()


def plane_data(plane: Plane) -> dict[str, Any]:
    """The objects on the plane."""
    discs = [[*disc.centre, disc.radius] for disc in (*plane.hazards, plane.goal)]
    return {"half_width": plane.half_width, "hazards": discs[:-1], "goal": discs[-1]}


def animation(
    plane: Plane, critic: TrainedCritic, methods: Mapping[str, pl.DataFrame]
) -> dict[str, Any]:
    """Episodes of each method's first seed, with V_h along the way.

    Args:
        plane: where they run.
        critic: of V_h, whose first seed is used.
        methods: method -> its episodes; observations begin with x, y, speed, and the heading's
            cosine and sine.

    Returns:
        `plane`, and `methods`: method -> `lengths` (steps of each episode), base64 of x, y, heading
        and value, one after another for all steps of all episodes, and for each episode whether its
        start is truly feasible, its first violation (steps, or null) and whether it reached the
        goal.
    """
    drawn = {}
    for method, episodes in methods.items():
        chosen = episodes.filter(pl.col("seed") == 0).sort("episode").head(EPISODES)
        steps = [np.asarray(o, np.float32) for o in chosen["observations"].to_list()]
        observations = np.concatenate(steps)
        values = critic.values(observations)[0]
        headings = np.arctan2(observations[:, 4], observations[:, 3])
        positions = observations[:, :2] / plane.half_width * POSITION_UNITS
        drawn[method] = {
            "lengths": [len(one) for one in steps],
            "x": encoded(positions[:, 0], "<i2"),
            "y": encoded(positions[:, 1], "<i2"),
            "heading": encoded(headings * ANGLE_UNITS, "<i2"),
            "value": encoded(values * VALUE_UNITS, "<i2"),
            "feasible": chosen["truly_feasible"].to_list(),
            "first_violation": chosen["first_violation"].to_list(),
            "reached_goal": chosen["reached_goal"].to_list(),
        }
    return {"plane": plane_data(plane), "methods": drawn}


def region(truth: Truth, critic: TrainedCritic) -> dict[str, Any]:
    """The learned and the true feasible region over the plane, at several speeds and headings.

    Args:
        truth: of the task.
        critic: of V_h.

    Returns:
        `plane`, `points` along x and y, `speeds`, `headings`; base64 of `value`, the mean of V_h
        over seeds in steps of `value_step`, and of `infeasible`, 1 where the truth is; both for
        speed, heading, y, x, the last one fastest.
    """
    slices = [Slice(speed, heading) for speed in SPEEDS for heading in HEADINGS]
    states = np.concatenate(
        [grid_states(truth.plane.half_width, where, GRID_POINTS)[1] for where in slices]
    )
    values = critic.values(truth.observe(states)).mean(axis=0)
    infeasible = truth.least_violation(states) > 0
    step = float(np.abs(values).max()) / 127 or 1.0
    return {
        "plane": plane_data(truth.plane),
        "points": GRID_POINTS,
        "speeds": SPEEDS,
        "headings": HEADINGS,
        "value_step": step,
        "value": encoded(_away_from_zero(values / step), "<i1"),
        "infeasible": base64.b64encode(
            np.packbits(infeasible, bitorder="little").tobytes()
        ).decode(),
    }


def _away_from_zero(values: np.ndarray) -> np.ndarray:
    """Rounded, but what is above 0 stays above: the region's edge is at 0."""
    return np.where(values > 0, np.ceil(values), np.floor(values))
