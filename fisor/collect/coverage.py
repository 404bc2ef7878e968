"""How much of the reference's returns and costs a collected dataset covers."""

from typing import NamedTuple

import numpy as np

from fisor.tasks import Task

ENOUGH = 0.5


class Coverage(NamedTuple):
    """Ranges over a dataset's episodes.

    Attributes:
        returns: lowest and highest return.
        costs: lowest and highest cost.
        return_share: share of the task's reference returns that lies between the two, 0 to 1.
        cost_share: share of 0 to the highest cost that lies between the two, 0 to 1.
        message: a sentence with all that, which says aloud where less than half is covered.
    """

    returns: tuple[float, float]
    costs: tuple[float, float]
    return_share: float
    cost_share: float
    message: str


def _share(found: tuple[float, float], wanted: tuple[float, float]) -> float:
    common = min(found[1], wanted[1]) - max(found[0], wanted[0])
    return max(common, 0.0) / (wanted[1] - wanted[0])


def coverage(task: Task, highest_cost: float, returns: np.ndarray, costs: np.ndarray) -> Coverage:
    """Compare a dataset's episodes with the task's reference.

    Args:
        task: has the lowest and highest return of DSRL's dataset.
        highest_cost: the highest cost of an episode of DSRL's dataset, above 0.
        returns: `[episodes]`.
        costs: `[episodes]`.
    """
    found = (float(returns.min()), float(returns.max())), (float(costs.min()), float(costs.max()))
    wanted = task.reference_returns, (0.0, float(highest_cost))
    shares = [_share(f, w) for f, w in zip(found, wanted, strict=True)]
    parts = [
        f"{name} {f[0]:.4g} to {f[1]:.4g} ({100 * share:.0f} % of the reference's "
        f"{w[0]:.4g} to {w[1]:.4g})"
        for name, f, w, share in zip(("returns", "costs"), found, wanted, shares, strict=True)
    ]
    message = f"{task.name}: {returns.size} episodes, {', '.join(parts)}"
    if low := [n for n, s in zip(("return", "cost"), shares, strict=True) if s < ENOUGH]:
        message += (
            f"\nwarning: less than half of the {' and the '.join(low)} range is covered; "
            "more environment_steps may help"
        )
    return Coverage(*found, *shares, message)
