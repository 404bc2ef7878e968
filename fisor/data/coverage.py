"""How much of the reference range of returns and costs a collected dataset covers."""

from typing import NamedTuple

import numpy as np

ENOUGH = 0.5


class Coverage(NamedTuple):
    """Ranges over a dataset's episodes.

    Attributes:
        returns: lowest and highest return.
        costs: lowest and highest cost.
        return_share: share of the task's reference returns that lies between the two, 0 to 1.
        cost_share: share of 0 to the highest cost that lies between the two, 0 to 1.
        message: a sentence with all that, and a warning where less than half is covered.
    """

    returns: tuple[float, float]
    costs: tuple[float, float]
    return_share: float
    cost_share: float
    message: str


def _share(found: tuple[float, float], wanted: tuple[float, float]) -> float:
    common = min(found[1], wanted[1]) - max(found[0], wanted[0])
    return max(common, 0.0) / (wanted[1] - wanted[0])


def coverage(
    name: str,
    reference_returns: tuple[float, float],
    highest_cost: float,
    returns: np.ndarray,
    costs: np.ndarray,
) -> Coverage:
    """Compare a dataset's episodes with the task's reference.

    Args:
        name: name of the task, for the message.
        reference_returns: lowest and highest return of DSRL's dataset.
        highest_cost: the highest cost of an episode of DSRL's dataset, above 0.
        returns: `[episodes]`.
        costs: `[episodes]`.
    """
    found_returns = float(returns.min()), float(returns.max())
    found_costs = float(costs.min()), float(costs.max())
    low, high = reference_returns
    return_share = _share(found_returns, (low, high))
    cost_share = _share(found_costs, (0.0, highest_cost))
    message = (
        f"{name}: {returns.size} episodes; "
        f"returns {found_returns[0]:.4g} to {found_returns[1]:.4g}, "
        f"{100 * return_share:.0f} % of the reference's {low:.4g} to {high:.4g}; "
        f"costs {found_costs[0]:.4g} to {found_costs[1]:.4g}, "
        f"{100 * cost_share:.0f} % of 0 to {highest_cost:g}"
    )
    shares = {"returns": return_share, "costs": cost_share}
    if poor := [name for name, share in shares.items() if share < ENOUGH]:
        message += (
            f"\nwarning: less than half of the range of {' and of '.join(poor)} is covered; "
            "more environment_steps may help"
        )
    return Coverage(found_returns, found_costs, return_share, cost_share, message)
