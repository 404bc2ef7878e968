"""The simulated schedule of the cost model: small graphs by hand, and bounds of any schedule."""

import numpy as np
import pytest

from benchmarks.schedule import critical_path, enough_workers, makespan
from fisor.cluster.pipeline import Item


def graph(**needs: str) -> dict[str, Item]:
    """Items by name, each with the names of those that it needs; one letter each."""
    return {
        name: Item(name, {need: [need] for need in each}, True, False, True)
        for name, each in needs.items()
    }


CHAIN = graph(a="", b="a", c="b")
APART = graph(a="", b="", c="", d="", e="")
DIAMOND = graph(a="", b="a", c="a", d="bc")


@pytest.mark.parametrize(
    ("items", "seconds", "workers", "expected"),
    [
        # One after the other, however many workers there are.
        (CHAIN, (1, 2, 3), 1, 6),
        (CHAIN, (1, 2, 3), 5, 6),
        # 4 and 3; then 2 after the 3, at 3 to 5; 2 after the 4, at 4 to 6; 1 at 5 to 6.
        (APART, (4, 3, 2, 2, 1), 1, 12),
        (APART, (4, 3, 2, 2, 1), 2, 6),
        (APART, (4, 3, 2, 2, 1), 5, 4),
        # The short ones first: 1, 2 at 0; 3 at 1 to 4; 4 at 2 to 6; 9 at 4 to 13. Not the least.
        (APART, (1, 2, 3, 4, 9), 2, 13),
        # 2; both sides, 3 and 5; then 1.
        (DIAMOND, (2, 3, 5, 1), 1, 11),
        (DIAMOND, (2, 3, 5, 1), 2, 8),
        (DIAMOND, (2, 3, 5, 1), 9, 8),
    ],
)  # fmt: skip
def test_the_schedule_by_hand(
    items: dict[str, Item], seconds: tuple[float, ...], workers: int, expected: float
) -> None:
    """Items start in the order in which they became ready, as soon as a worker is free."""
    assert makespan(items, dict(zip(items, seconds, strict=True)), workers) == expected


@pytest.mark.parametrize(
    ("items", "seconds", "expected"),
    [
        (CHAIN, (1, 2, 3), ["a", "b", "c"]),
        (APART, (4, 3, 2, 2, 9), ["e"]),
        (DIAMOND, (2, 3, 5, 1), ["a", "c", "d"]),
        (DIAMOND, (2, 6, 5, 1), ["a", "b", "d"]),
    ],
)
def test_the_longest_chain_by_hand(
    items: dict[str, Item], seconds: tuple[float, ...], expected: list[str]
) -> None:
    """By seconds, not by the number of items."""
    assert critical_path(items, dict(zip(items, seconds, strict=True))) == expected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("workers", [1, 2, 5, 40])
def test_bounds_that_hold_for_every_graph(seed: int, workers: int) -> None:
    """At least the critical path and the work per worker; at most Graham's bound.

    Graham (1966): no schedule that leaves no worker idle while an item is ready takes longer than
    work / k + (1 - 1 / k) critical path.
    """
    draw = np.random.default_rng(seed)
    items: dict[str, Item] = {}
    for number in range(40):
        needed = [name for name in items if draw.random() < 0.08]
        name = str(number)
        items[name] = Item(name, {need: [need] for need in needed}, True, False, True)
    seconds = dict(zip(items, draw.uniform(1, 10, 40), strict=True))
    longest = sum(seconds[name] for name in critical_path(items, seconds))
    work = sum(seconds.values())
    took = makespan(items, seconds, workers)
    tiny = 1e-9
    assert took >= max(longest, work / workers) - tiny
    assert took <= work / workers + (1 - 1 / workers) * longest + tiny
    if workers == 1:
        assert took == pytest.approx(work)
    if workers == len(items):
        assert took == pytest.approx(longest)


def test_where_more_workers_no_longer_help() -> None:
    """Four equal items and a critical path of one: four workers; within twice of it, two."""
    items = graph(a="", b="", c="", d="")
    seconds = dict.fromkeys(items, 3.0)
    assert enough_workers(items, seconds, within=1.0) == 4
    assert enough_workers(items, seconds, within=2.0) == 2
    assert enough_workers(CHAIN, dict.fromkeys(CHAIN, 3.0), within=1.0) == 1
