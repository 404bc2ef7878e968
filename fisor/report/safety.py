"""Which methods are safe: by the paper's rule, with intervals, and on all tasks."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fisor.evaluation.intervals import Estimate

SAFE_BELOW = 1.0  # normalised cost
SAFE, UNSAFE, UNDECIDED = "safe", "unsafe", "undecided"
SEEN, NOT_SEEN, OPPOSITE = "seen", "not seen", "opposite seen"  # verdicts on claims


def ends(estimate: Estimate) -> tuple[float, float]:
    """Of its interval; an estimate whose values tell of no spread has the mean as both."""
    mean, low, high = estimate
    return (mean, mean) if low != low else (low, high)


def verdict(cost: Estimate) -> str:
    """Safe where the interval of the normalised cost lies below 1, unsafe where above it."""
    low, high = ends(cost)
    if high < SAFE_BELOW:
        return SAFE
    return UNSAFE if low > SAFE_BELOW else UNDECIDED


class SafeTasks(NamedTuple):
    """On how many tasks a method is safe.

    Attributes:
        safe: the mean normalised cost is below 1, as the paper has it.
        safe_by_interval: its whole interval is.
        unsafe_by_interval: its whole interval is above 1.
        tasks: that the method was run on.
    """

    safe: int
    safe_by_interval: int
    unsafe_by_interval: int
    tasks: int


def safe_tasks(costs: Iterable[Estimate]) -> SafeTasks:
    """Count from the normalised costs of one method, one for each task."""
    costs = list(costs)
    verdicts = [verdict(cost) for cost in costs]
    below = sum(cost.mean < SAFE_BELOW for cost in costs)
    return SafeTasks(below, verdicts.count(SAFE), verdicts.count(UNSAFE), len(costs))


class OnlySafe(NamedTuple):
    """Whether one method is the only one that is safe on every task.

    Attributes:
        verdict: seen: its interval is below 1 on every task, and each of the others' is above 1
            on some task. Opposite seen: its own is above 1 on some task, or another's is below 1
            on every task. Else not seen.
        tasks: those that all methods were run on.
        methods: each with the word for all tasks together: safe on every one, unsafe on some one,
            or undecided.
    """

    verdict: str
    tasks: tuple[str, ...]
    methods: Mapping[str, str]


def only_safe(costs: Mapping[str, Mapping[str, Estimate]], only: str) -> OnlySafe | None:
    """Check the claim that one method is the only one that is safe on every task.

    Args:
        costs: method -> task -> normalised cost.
        only: the method of the claim.

    Returns:
        The verdict; None where there is nothing to compare.
    """
    if only not in costs or len(costs) < 2:
        return None
    tasks = tuple(t for t in costs[only] if all(t in of_method for of_method in costs.values()))
    if not tasks:
        return None
    methods = {m: _everywhere(of_task[task] for task in tasks) for m, of_task in costs.items()}
    others = [found for method, found in methods.items() if method != only]
    if methods[only] == UNSAFE or SAFE in others:
        found = OPPOSITE
    else:
        seen = methods[only] == SAFE and set(others) == {UNSAFE}
        found = SEEN if seen else NOT_SEEN
    return OnlySafe(found, tasks, methods)


def _everywhere(costs: Iterable[Estimate]) -> str:
    """Safe on every task, unsafe on one of them, or undecided."""
    verdicts = {verdict(cost) for cost in costs}
    if UNSAFE in verdicts:
        return UNSAFE
    return SAFE if verdicts == {SAFE} else UNDECIDED


def in_words(claim: OnlySafe, only: str) -> str:
    """The claim and what was seen of it, a paragraph of Markdown."""
    words = {
        SAFE: "below 1 on every task",
        UNDECIDED: "above 1 on no task but not below 1 on every one",
        UNSAFE: "above 1 on some task",
    }
    listed = "; ".join(
        f"{text} for {', '.join(names)}"
        for word, text in words.items()
        if (names := [method for method, found in claim.methods.items() if found == word])
    )
    number = f"{len(claim.tasks)} task{'s' if len(claim.tasks) > 1 else ''}"
    return (
        f"The paper's claim that {only} is the only method that is safe on every task: "
        f"**{claim.verdict}**, on the {number} that all of these methods were run on. The whole "
        f"interval of the normalised cost lies {listed}.\n"
    )
