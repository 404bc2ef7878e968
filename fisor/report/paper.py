"""The paper's figures: those of its Tables 1 and 6, by task and method."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import polars as pl

TABLES = tuple(Path(__file__).with_name(f"paper_table{number}.csv") for number in (1, 6))


class Scores(NamedTuple):
    """A method's scores on a task, or their averages.

    Attributes:
        reward: normalised.
        cost: normalised.
    """

    reward: float
    cost: float


@cache
def papers_scores() -> Mapping[str, Mapping[str, Scores]]:
    """Task -> method -> its scores, both in the paper's order."""
    found: dict[str, dict[str, Scores]] = {}
    for path in TABLES:
        for task, method, *scores in pl.read_csv(path, comment_prefix="#").rows():
            found.setdefault(task, {})[method] = Scores(*scores)
    return found


@cache
def papers_methods() -> tuple[str, ...]:
    """The methods of these tables, in the paper's order."""
    return tuple(dict.fromkeys(method for row in papers_scores().values() for method in row))
