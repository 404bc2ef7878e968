"""The paper's claims on PointRobot, where the truth is known: seen or not, by paired seeds."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy import stats

from fisor.compare.revision import RegionTruths, Revision, region_truths
from fisor.errors import InputError
from fisor.evaluation import regions
from fisor.evaluation.intervals import LEVEL
from fisor.report.safety import NOT_SEEN, OPPOSITE, SEEN

RULE = (
    "Seen: the 95 % interval of the difference lies wholly on the claimed side of 0. Opposite "
    "seen: wholly on the other side. Not seen: it holds 0. The difference is taken seed by seed "
    "(same training seed, same starts); the interval is Student's over seeds."
)


class Difference(NamedTuple):
    """A paired difference over seeds and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the difference, of what should be higher minus lower, is above 0."""
        if self.low > 0:
            return SEEN
        return OPPOSITE if self.high < 0 else NOT_SEEN


def paired_difference(higher: np.ndarray, lower: np.ndarray) -> Difference:
    """The mean of `higher - lower`, both `[seeds]`, with Student's 95 % interval.

    Raises:
        InputError: the numbers of seeds differ, or there is only one.
    """
    if higher.shape != lower.shape or higher.size < 2:
        raise InputError(f"seeds cannot be paired: {higher.size} against {lower.size}")
    differences = higher - lower
    error = differences.std(ddof=1) / np.sqrt(differences.size)
    half = float(stats.t.ppf((1 + LEVEL) / 2, differences.size - 1) * error)
    mean = float(differences.mean())
    return Difference(mean, mean - half, mean + half)


def _agreement(field: str) -> Callable[[Revision, str, str], np.ndarray]:
    def measure(revision: Revision, task: str, method: str) -> np.ndarray:
        truths = _truths(revision, task)
        seeds = [
            [getattr(regions.agreement(v, truths[where].true_violation), field) for v in values]
            for where, values in revision.region_values(task, truths).items()
        ]
        return np.mean(seeds, axis=0)

    return measure


def _feasible_share(revision: Revision, task: str, method: str) -> np.ndarray:
    regions_of_slices = revision.region_values(task, _truths(revision, task)).values()
    return np.mean([(values <= 0).mean(axis=1) for values in regions_of_slices], axis=0)


def _truths(revision: Revision, task: str) -> RegionTruths:
    truth = revision.truth(task)
    if truth is None:
        raise InputError(f"{revision.name}: nothing is known of {task}'s true feasible region")
    return region_truths(truth)


def _of_episodes(column: str, feasible: bool | None) -> Callable[[Revision, str, str], np.ndarray]:
    def measure(revision: Revision, task: str, method: str) -> np.ndarray:
        rows = revision.rollouts(task, method).with_columns(
            violated=(pl.col("violating_steps") > 0).cast(pl.Float64)
        )
        if feasible is not None:
            rows = rows.filter(pl.col("truly_feasible") == feasible)
        if rows.is_empty():
            raise InputError(
                f"{revision.name}: no episode of {task} starts there; more `episodes`?"
            )
        return rows.group_by("seed").agg(pl.col(column).mean()).sort("seed")[column].to_numpy()

    return measure


# (revision, task, method) -> [seeds]. Those of regions are means over the four slices.
MEASURES: Mapping[str, Callable[[Revision, str, str], np.ndarray]] = {
    "intersection over union of the infeasible region": _agreement("intersection_over_union"),
    "infeasible called feasible": _agreement("infeasible_called_feasible"),
    "feasible called infeasible": _agreement("feasible_called_infeasible"),
    "feasible share of the plane": _feasible_share,
    "episodes with a violation": _of_episodes("violated", None),
    "violation from feasible starts": _of_episodes("violated", True),
    "violating steps": _of_episodes("violating_steps", None),
    "violating steps from infeasible starts": _of_episodes("violating_steps", False),
}


def checked_claims(
    claims: Any, revisions: Mapping[str, tuple[Revision, str, str]]
) -> list[dict[str, Any]]:
    """One row per claim.

    Args:
        claims: of the study.
        revisions: of each variant its revision, task and method; one that failed is not there.

    Returns:
        claim, measure, lower, higher, for each of these two its `[seeds]` values, and the
        difference; None where an experiment failed.
    """
    kept: dict[tuple[str, str], np.ndarray] = {}

    def values(measure: str, variant: str) -> np.ndarray:
        if (measure, variant) not in kept:
            kept[measure, variant] = MEASURES[measure](*revisions[variant])
        return kept[measure, variant]

    rows = []
    for claim in claims:
        row = dataclasses.asdict(claim) | {
            "lower_values": None,
            "higher_values": None,
            "difference": None,
        }
        if claim.lower in revisions and claim.higher in revisions:
            lower, higher = values(claim.measure, claim.lower), values(claim.measure, claim.higher)
            row["lower_values"], row["higher_values"] = lower, higher
            row["difference"] = paired_difference(higher, lower)
        rows.append(row)
    return rows
