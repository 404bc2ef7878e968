"""Which collected episodes become the dataset: spread over the (cost, return) plane."""

import numpy as np

COST_BINS, RETURN_BINS = 60, 50


def front(costs: np.ndarray, returns: np.ndarray) -> np.ndarray:
    """Episodes of which no other has a higher return at the same or a lower cost.

    Args:
        costs: `[n]` cost of each episode.
        returns: `[n]` its return.

    Returns:
        Their indices, in ascending order of cost and return; of equal episodes the first.
    """
    order = np.lexsort((-returns, costs))
    best_so_far = np.maximum.accumulate(returns[order])
    higher = np.concatenate([[True], best_so_far[1:] > best_so_far[:-1]])
    return order[higher]


def select(
    costs: np.ndarray,
    returns: np.ndarray,
    *,
    highest_cost: float,
    lowest_return: float,
    episodes: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Thin episodes out by a grid over the plane, as evenly as they allow.

    The front, the lowest return and the highest cost are always kept. For the rest, each cell of
    the grid contributes one random episode, then each a second one, and so on.

    Args:
        costs: `[n]` cost of each episode.
        returns: `[n]` its return.
        highest_cost: above 0; episodes that cost more are left out.
        lowest_return: episodes that return less are left out.
        episodes: how many to keep.
        generator: decides between episodes of a cell.

    Returns:
        Indices of kept episodes, ascending: `episodes` of them, or all that are not left out.
    """
    allowed = np.flatnonzero((costs <= highest_cost) & (returns >= lowest_return))
    if allowed.size <= episodes:
        return allowed
    cost, return_ = costs[allowed], returns[allowed]
    on_front = front(cost, return_)
    if on_front.size > episodes:  # then evenly along it
        return np.sort(allowed[on_front[np.linspace(0, on_front.size - 1, episodes).astype(int)]])
    least = return_.min()
    span = max(float(return_.max() - least), 1e-9)
    column = np.ceil(cost / highest_cost * COST_BINS).astype(int)  # cost 0 has a column of its own
    row = np.minimum((return_ - least) / span * RETURN_BINS, RETURN_BINS - 1).astype(int)
    cell = column * RETURN_BINS + row
    # Episodes that must be kept come first in their cell, and before those of all cells.
    forced = np.zeros(allowed.size, bool)
    forced[on_front] = True
    forced[[return_.argmin(), cost.argmax()]] = True
    chance = generator.permutation(allowed.size)
    order = np.lexsort((chance, ~forced, cell))
    sorted_cells = cell[order]
    begins = np.flatnonzero(np.concatenate([[True], sorted_cells[1:] != sorted_cells[:-1]]))
    sizes = np.diff(np.concatenate([begins, [order.size]]))
    turn = np.empty(order.size, int)
    turn[order] = np.arange(order.size) - np.repeat(begins, sizes)
    first = np.lexsort((chance, turn, ~forced))[:episodes]
    return np.sort(allowed[first])
