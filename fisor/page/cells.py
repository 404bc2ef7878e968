"""Cells of the page's sortable tables."""

from typing import NamedTuple

from fisor.evaluation.intervals import Estimate
from fisor.report.tables import NONE, NOT_RUN


class Cell(NamedTuple):
    """A table's cell.

    Attributes:
        text: what it shows.
        sort: the number that it is sorted by; None sorts below all.
        kind: `best`, `safe`, `unsafe` or `none`, which decide how it is drawn; empty: as text.
        detail: smaller lines below.
    """

    text: str
    sort: float | None = None
    kind: str = ""
    detail: str = ""


MISSING = Cell(NOT_RUN, kind="none")


def interval(estimate: Estimate, decimals: int = 2) -> str:
    """An estimate's interval in brackets; empty where there is none."""
    if estimate.low != estimate.low:
        return ""
    return f"[{_number(estimate.low, decimals)}, {_number(estimate.high, decimals)}]"


def estimate_cell(estimate: Estimate, decimals: int = 2, kind: str = "") -> Cell:
    """A mean, with its interval below."""
    if estimate.mean != estimate.mean:
        return Cell(NONE, kind="none")
    text = _number(estimate.mean, decimals)
    return Cell(text, estimate.mean, kind, interval(estimate, decimals))


def scores_cell(reward: Estimate, cost: Estimate, kind: str) -> Cell:
    """Normalised reward and cost, sorted by reward, with both intervals below."""
    text = f"{_number(reward.mean)} / {_number(cost.mean)}"
    brackets = "\n".join(found for one in (reward, cost) if (found := interval(one)))
    return Cell(text, reward.mean, kind, brackets)


def _number(value: float, decimals: int = 2) -> str:
    text = f"{value:.{decimals}f}"
    zero = f"{0:.{decimals}f}"
    return zero if text == f"-{zero}" else text.replace("-", "−")
