"""Reward against cost, the picture of Table 1: one panel per task, one point per method."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fisor.evaluation.intervals import Estimate
from fisor.report import plots
from fisor.report.colours import Style, method_styles
from fisor.report.safety import SAFE_BELOW, ends
from fisor.report.tables import COST, REWARD

WITHOUT_LIMIT = "violating_steps"  # in place of the cost on a task that has no limit
TICKS = (0, 0.5, 1, 3, 10, 30, 100, 300)
PANEL_INCHES = (2.35, 2.1)
COLUMNS = 3
LEGEND_ROWS = 8  # that fit into the place of a panel
LEAST_SPAN = 0.2  # of rewards, so that differences that mean little do not look large
MARKER_POINTS = {"*": 11, "P": 7.5, "X": 7.5, "D": 5.5}  # of those that look smaller than a disc


class Panel(NamedTuple):
    """The points of one task.

    Attributes:
        title: of the panel.
        figure: what lies along x, a name in metrics.json.
        points: method -> its cost, along x, and its reward.
    """

    title: str
    figure: str
    points: Mapping[str, tuple[Estimate, Estimate]]


def points_of(title: str, estimates: Mapping[str, Mapping[str, Estimate]]) -> Panel:
    """A task's panel; methods that have not run have no point."""
    figure = COST if any(COST in figures for figures in estimates.values()) else WITHOUT_LIMIT
    points = {m: (figures[figure], figures[REWARD]) for m, figures in estimates.items()}
    return Panel(title, figure, points)


def reward_against_cost(path: Path, panels: Sequence[Panel]) -> None:
    """Draw the panels, with one legend for all.

    Args:
        path: the picture to make.
        panels: one per task.
    """
    styles = method_styles(list(dict.fromkeys(m for panel in panels for m in panel.points)))
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    full = len(panels) == rows * columns
    with_cost = [panel for panel in panels if panel.figure == COST]
    costs = [cost for panel in with_cost for cost, _ in panel.points.values()]
    reach = max((ends(cost)[1] for cost in costs), default=0.0)
    width, height = PANEL_INCHES
    beside, below = (1.8 if columns == 1 else 0.3), (0.6 if full else 0.0)
    with mpl.rc_context(plots.STYLE):
        figure = Figure(figsize=(width * columns + beside, height * rows + below))
        axes_of = figure.subplots(rows, columns, squeeze=False).ravel()
        for number, (axes, panel) in enumerate(zip(axes_of, panels, strict=False)):
            _panel(axes, panel, styles, reach)
            lowest = number + columns >= len(panels)
            if lowest or panels[number + columns].figure != panel.figure:
                axes.set_xlabel(panel.figure.replace("_", " "))
            if number % columns == 0:
                axes.set_ylabel("normalised reward")
        figure.align_ylabels(axes_of[::columns])
        for axes in axes_of[len(panels) :]:
            axes.set_axis_off()
        options: dict[str, Any] = {"handletextpad": 0.2, "columnspacing": 1.2}
        options["handles"] = [
            mpl.lines.Line2D([], [], ls="", label=method, **_marker(style))
            for method, style in styles.items()
        ]
        if not full:  # in the place of a panel
            names = -(-len(styles) // LEGEND_ROWS)
            axes_of[len(panels)].legend(loc="center", ncols=names, **options)
        elif columns == 1:
            figure.legend(loc="outside right center", **options)
        else:
            figure.legend(loc="outside lower center", ncols=2 * columns, **options)
        plots.save(figure, path)


def caption(panels: Sequence[Panel]) -> str:
    """What the picture shows, in Markdown."""
    sentences = ["One point per method, with 95 % intervals in both directions."]
    figures = {panel.figure for panel in panels}
    if COST in figures:
        sentences.append(
            "Dashed: the cost limit; costs are linear up to there and logarithmic beyond."
        )
    if WITHOUT_LIMIT in figures:
        sentences.append("Violating steps stand for the cost where there is no limit.")
    return f"*{' '.join(sentences)}*\n"


def _marker(style: Style) -> dict[str, Any]:
    size = MARKER_POINTS.get(style.marker, 6)
    return {"marker": style.marker, "ms": size, "mfc": style.colour, "mec": "white", "mew": 0.5}


def _panel(axes: Axes, panel: Panel, styles: Mapping[str, Style], reach: float) -> None:
    """Draw a panel; `reach` is the highest normalised cost of all panels, which share that axis."""
    axes.set_title(panel.title)
    for method, (cost, reward) in panel.points.items():
        style = styles[method]
        line: dict[str, Any] = {"color": style.colour, "lw": 1.1, "alpha": 0.8, "zorder": 2}
        axes.plot(ends(cost), [reward.mean] * 2, clip_on=False, **line)
        axes.plot([cost.mean] * 2, ends(reward), clip_on=False, **line)
        axes.plot(cost.mean, reward.mean, ls="", zorder=3, clip_on=False, **_marker(style))
    if panel.figure == COST:
        axes.set_xscale("symlog", linthresh=SAFE_BELOW)
        axes.axvspan(-1, SAFE_BELOW, color="#f1f1f1", lw=0, zorder=0)
        axes.axvline(SAFE_BELOW, color="black", lw=0.9, ls="--", zorder=1)
        end = max(2 * SAFE_BELOW, 1.15 * reach)
        ticks = [tick for tick in TICKS if tick <= end]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
        axes.set_xlim(-0.06, end)
        axes.annotate(
            "safe", (0.03, 0.97), xycoords="axes fraction", va="top", color="#707070", fontsize=8
        )
    else:
        end = max((ends(cost)[1] for cost, _ in panel.points.values()), default=0.0) or 1.0
        axes.set_xlim(-0.02 * end, 1.06 * end)
    axes.margins(y=0.15)
    low, high = axes.get_ylim()
    if high - low < LEAST_SPAN:
        middle = (high + low) / 2
        low, high = middle - LEAST_SPAN / 2, middle + LEAST_SPAN / 2
    axes.set_ylim(low, high)
    if low < 0 < high:
        axes.axhline(0, color="grey", lw=0.6, zorder=1)
    axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
