"""Every colour that tells lines, bars or points apart, chosen for colour-blind eyes, too."""

from collections.abc import Sequence
from typing import NamedTuple

from fisor.report.paper import papers_methods

# Of Okabe and Ito (2008) and of Tol (2021); tests/test_colours.py measures how far they are apart.
BLUE, RED = "#0072B2", "#D55E00"
COLOURS = (BLUE, "#E69F00", "#117733", RED, "#CC79A7", "#56B4E9", "#000000", "#882255")


class Style(NamedTuple):
    """How a method is drawn.

    Attributes:
        colour: of its points, lines and bars.
        marker: Matplotlib's name; it tells methods apart without any colour.
    """

    colour: str
    marker: str


# The first ones are those of the paper's methods, in the order of its Tables 1 and 6.
STYLES = (
    Style("#777777", "o"),
    Style("#E69F00", "s"),
    Style("#56B4E9", "^"),
    Style("#117733", "v"),
    Style("#CC79A7", "D"),
    Style("#0072B2", "P"),
    Style("#D55E00", "*"),
    Style("#000000", "X"),
    Style("#882255", "<"),
    Style("#332288", ">"),
    Style("#DDCC77", "h"),
    Style("#999933", "p"),
    Style("#661100", "d"),
)


def method_styles(methods: Sequence[str]) -> dict[str, Style]:
    """The style of each method: always the same for the paper's, the next ones for others."""
    papers = papers_methods()
    others = [method for method in dict.fromkeys(methods) if method not in papers]
    free = STYLES[len(papers) :]
    styles = dict(zip(papers, STYLES, strict=False))
    styles |= {method: free[place % len(free)] for place, method in enumerate(others)}
    return {method: styles[method] for method in methods}
