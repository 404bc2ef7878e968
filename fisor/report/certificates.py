"""The report on safety: how episodes end, and what the rollouts certify."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import polars as pl

from fisor.config.report import Certified
from fisor.envs.suites import SHARE, Result
from fisor.evaluation.certificate import Certificate, certificate, certificate_of_chosen_level
from fisor.report.tables import NONE, as_json, estimated, markdown, method_values, shown

# An episode has exactly one ending: a violation goes before all others.
ENDINGS = {
    "violated": "violated",
    "reached_goal": "reached_safely",
    "left_box": "left_safely",
    "timed_out": "timed_out_safely",
}  # figure -> column
STARTS: tuple[Literal["feasible", "infeasible"], ...] = ("feasible", "infeasible")

Section = tuple[dict[str, dict[str, Any]], str]  # method -> figures for metrics.json; Markdown


def endings(methods: Mapping[str, pl.DataFrame]) -> Section:
    """How the episodes of a task end, from starts whose truth is known.

    Args:
        methods: method -> its episodes.

    Returns:
        method -> feasible or infeasible -> ending -> mean, low and high; and the section.
    """
    figures: dict[str, dict[str, Any]] = {method: {} for method in methods}
    rows = []
    for method, episodes in methods.items():
        for starts in STARTS:
            results = [Result(name, column, SHARE, starts) for name, column in ENDINGS.items()]
            estimates = estimated(method_values(episodes, results), results)
            figures[method][starts] = as_json(estimates)
            cells = {name: shown(estimate, 2) for name, estimate in estimates.items()}
            rows.append({"method": method, "starts": f"truly {starts}"} | cells)
    text = (
        "### How episodes end\n\n"
        + markdown(pl.DataFrame(rows))
        + "\nShares of the episodes; each counts once: as violated if it violates at all, else by "
        "what ended it, the goal, the box's edge or the time limit.\n"
    )
    return figures, text


def certificates(methods: Mapping[str, pl.DataFrame], settings: Certified) -> Section:
    """What a task's episodes certify of each method that has a feasible value.

    Args:
        methods: method -> its episodes.
        settings: the confidence, and the wanted bound.

    Returns:
        method -> `zero_level` and `chosen_level` -> certificates, see `_as_json`; and the section,
        empty if no method has a feasible value.
    """
    beta, epsilon = settings.certificate_beta, settings.certificate_epsilon
    figures: dict[str, dict[str, Any]] = {}
    rows, seeds = [], 0
    for method, episodes in methods.items():
        if episodes["start_feasible_value"].null_count():
            continue
        of_seeds = episodes.sort("seed", "episode").partition_by("seed", maintain_order=True)
        seeds, figures[method] = len(of_seeds), {}
        starts = [
            (one["start_feasible_value"].to_numpy(), (one["violating_steps"] > 0).to_numpy())
            for one in of_seeds
        ]
        for name, found in (
            ("zero_level", [certificate(*of_seed, beta) for of_seed in starts]),
            (
                "chosen_level",
                [certificate_of_chosen_level(*of_seed, beta, epsilon) for of_seed in starts],
            ),
        ):
            figures[method][name] = _as_json(found)
            rows.append({"method": method} | _cells(found))
    if not rows:
        return figures, ""
    text = (
        "### Certificates\n\n"
        + markdown(pl.DataFrame(rows))
        + "\nFor each training seed, with confidence "
        f"{1 - beta:g} over the draw of the starts: of the starts with $V_h$ of at most the level, "
        "at most a share $\\epsilon$ end in a violation. A method's first line certifies "
        "$V_h \\le 0$ by all episodes. For its second line, half of the episodes chose the highest "
        f"level that would do for {epsilon:g}, if any would, and the other half certifies it, "
        "which may give more. Seeds run from the same starts, so they are not pooled; for all "
        f"{seeds} at once the largest $\\epsilon$ holds with confidence {1 - seeds * beta:g}.\n"
    )
    return figures, text


def _largest_epsilon(found: Sequence[Certificate | None]) -> float | None:
    """The bound that holds for all seeds; None if one of them has none."""
    epsilons = [one.epsilon for one in found if one is not None]
    return max(epsilons) if len(epsilons) == len(found) else None


def _as_json(found: Sequence[Certificate | None]) -> dict[str, Any]:
    """The certificate of each seed, null without one, and the largest epsilon."""
    of_seeds = {f"seed_{seed}": one and one._asdict() for seed, one in enumerate(found)}
    return of_seeds | {"largest_epsilon": _largest_epsilon(found)}


def _cells(found: Sequence[Certificate | None]) -> dict[str, str]:
    """A row of the table, of all seeds in their order."""

    def each(show: Callable[[Certificate], str]) -> str:
        return ", ".join(NONE if one is None else show(one) for one in found)

    largest = _largest_epsilon(found)
    return {
        "level, by seed": each(lambda one: f"{one.level:.2f}"),
        "violations": each(lambda one: f"{one.violations} of {one.starts}"),
        "$\\epsilon$": each(lambda one: f"{one.epsilon:.3f}"),
        "largest $\\epsilon$": NONE if largest is None else f"{largest:.3f}",
    }
