"""Which methods are safe, with intervals; and whether one is the only one on every task."""

import numpy as np
import pytest

from fisor.evaluation.intervals import Estimate
from fisor.report.safety import OnlySafe, in_words, only_safe, safe_tasks, verdict

SAFE = Estimate(0.5, 0.2, 0.9)
UNSAFE = Estimate(3.0, 1.5, 4.0)
LOW, HIGH = Estimate(0.8, 0.5, 1.2), Estimate(1.5, 0.9, 2.0)  # undecided, either side of 1
CERTAIN = Estimate(0.0, np.nan, np.nan)  # no episode costs anything


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        (SAFE, "safe"),
        (UNSAFE, "unsafe"),
        (LOW, "undecided"),
        (HIGH, "undecided"),
        (CERTAIN, "safe"),
        (Estimate(1.0, np.nan, np.nan), "undecided"),
        (Estimate(0.9, 0.8, 1.0), "undecided"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(cost: Estimate, expected: str) -> None:
    assert verdict(cost) == expected


def test_safe_tasks_are_counted_by_mean_and_by_interval() -> None:
    """Of five tasks three are safe by the mean, two by the interval; one is unsafe."""
    assert safe_tasks([SAFE, UNSAFE, LOW, HIGH, CERTAIN]) == (3, 2, 1, 5)


@pytest.mark.parametrize(
    ("own", "other", "third", "expected"),
    [
        ([SAFE, CERTAIN], [SAFE, UNSAFE], [UNSAFE, UNSAFE], "seen"),
        ([SAFE, LOW], [SAFE, UNSAFE], [UNSAFE, UNSAFE], "not seen"),  # itself undecided
        ([SAFE, SAFE], [SAFE, HIGH], [UNSAFE, UNSAFE], "not seen"),  # another undecided
        ([SAFE, SAFE], [SAFE, CERTAIN], [UNSAFE, UNSAFE], "opposite seen"),  # another is safe
        ([SAFE, UNSAFE], [SAFE, UNSAFE], [UNSAFE, UNSAFE], "opposite seen"),  # itself is not
    ],
)
def test_only_one_is_safe_on_every_task(
    own: list[Estimate], other: list[Estimate], third: list[Estimate], expected: str
) -> None:
    """Seen only if all intervals say so; opposite seen if they deny it; else not seen."""
    costs = {
        name: dict(zip(("a", "b"), values, strict=True))
        for name, values in (("own", own), ("other", other), ("third", third))
    }
    found = only_safe(costs, "own")
    assert found is not None
    assert found.verdict == expected


def test_the_claim_is_about_tasks_that_all_ran() -> None:
    """What one of them has not run counts for none; without any such task there is no verdict."""
    costs = {"own": {"a": SAFE, "b": UNSAFE}, "other": {"a": UNSAFE}}
    found = only_safe(costs, "own")
    assert found == OnlySafe("seen", ("a",), {"own": "safe", "other": "unsafe"})
    assert "**seen**, on the 1 task that" in in_words(found, "own")
    assert only_safe({"own": {"b": SAFE}, "other": {"a": UNSAFE}}, "own") is None
    assert only_safe({"own": {"a": SAFE}}, "own") is None
    assert only_safe({"other": {"a": SAFE}, "third": {"a": SAFE}}, "own") is None
