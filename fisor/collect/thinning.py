"""Which collected episodes become the dataset: spread over the (cost, return) plane."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from fisor.config.data import AcquireStage, ConvertStage
from fisor.data.coverage import coverage
from fisor.errors import InputError

# Opens arrays of whole episodes one after another, in files of NumPy or HDF5. They have DSRL's
# names, but for `last_observations` [episodes, obs_dim], after the last step of each, from which
# `next_observations` follow: half of the bytes.
Piece = Callable[[], AbstractContextManager[Mapping[str, Any]]]

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


def thinned(task: AcquireStage | ConvertStage, pieces: Sequence[Piece]) -> dict[str, np.ndarray]:
    """The dataset of a task: the episodes that `select` keeps of all that were collected.

    Args:
        task: whose collection it is; its seed decides between episodes of a cell.
        pieces: the episodes, in the order of their collection.

    Returns:
        DSRL's fields, whole episodes one after another.

    Raises:
        InputError: no episode is within the task's bounds.
    """
    highest_cost, episodes = task.acquire.highest_cost, task.acquire.episodes
    assert highest_cost is not None
    assert episodes is not None
    returns, costs = _returns_and_costs(pieces)
    kept = select(
        costs,
        returns,
        highest_cost=highest_cost,
        lowest_return=task.reference_returns[0],
        episodes=episodes,
        generator=np.random.default_rng(task.acquire.seed),
    )
    if kept.size == 0:
        raise InputError(
            f"tasks.yaml: {task.name}: none of {costs.size} episodes seen costs at most "
            f"acquire.highest_cost {highest_cost:g} and returns at least the lowest "
            f"of reference_returns {task.reference_returns[0]:g}; costs are {costs.min():g} to "
            f"{costs.max():g}, returns {returns.min():g} to {returns.max():g}"
        )
    found = coverage(task.name, task.reference_returns, highest_cost, returns[kept], costs[kept])
    print(found.message, file=sys.stderr)
    return _fields(pieces, kept)


def _returns_and_costs(pieces: Sequence[Piece]) -> tuple[np.ndarray, np.ndarray]:
    """Return and cost of every episode."""
    sums: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for opened in pieces:
        with opened() as piece:
            ends = np.flatnonzero(piece["terminals"][...] | piece["timeouts"][...])
            first = np.concatenate([[0], ends[:-1] + 1])
            for name, out in zip(("rewards", "costs"), sums, strict=True):
                out.append(np.add.reduceat(piece[name][...].astype(np.float64), first))
    returns, costs = map(np.concatenate, sums)
    return returns, costs


def _fields(pieces: Sequence[Piece], kept: np.ndarray) -> dict[str, np.ndarray]:
    """DSRL's fields of the episodes `kept`, numbers in ascending order."""
    parts = []
    before = 0
    for opened in pieces:
        with opened() as piece:
            ends = piece["terminals"][...] | piece["timeouts"][...]
            episode = before + np.cumsum(ends) - ends
            rows = np.isin(episode, kept)
            names = [name for name in piece if name != "last_observations"]
            part = {name: piece[name][...][rows] for name in names}
            last = piece["last_observations"][...]
        # Rows of whole episodes: each is followed by its successor, but for the last ones.
        part["next_observations"] = np.roll(part["observations"], -1, axis=0)
        part["next_observations"][ends[rows]] = last[np.isin(before + np.arange(len(last)), kept)]
        parts.append(part)
        before += len(last)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
