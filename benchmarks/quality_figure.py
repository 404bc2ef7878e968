"""The figure of `benchmarks.time_to_quality`: reward and cost against minutes of training.

`python -m benchmarks.quality_figure RESULTS.json` draws it anew beside the file.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from fisor.report import plots
from fisor.report.colours import COLOURS


class Style(NamedTuple):
    """How a way is drawn; a series of runs is dashed.

    Attributes:
        colour: of its line.
        marker: of its points.
        line: Matplotlib's style.
        label: its name.
        beside: where the minutes of its first good point are written, in points from it.
    """

    colour: str
    marker: str
    line: str
    label: str
    beside: tuple[int, int]


STYLES = {
    "quick": Style(COLOURS[0], "o", "--", "size: quick, each point a run", (0, 12)),
    "paper": Style(COLOURS[2], "s", "-", "size: paper, one run", (-6, -14)),
    "loop": Style(COLOURS[3], "^", "-", "reference loop, one run", (6, 12)),
}
BAND = "#E4E4E4"
LINEAR_BELOW = 1.0  # of the cost's axis, which is logarithmic above


def draw(path: Path, results: Mapping[str, Any]) -> None:
    """Draw a row of two panels for each task.

    Args:
        path: the picture to make.
        results: what `benchmarks.time_to_quality` has written so far.
    """
    tasks = results["tasks"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(plots.STYLE):
        figure = Figure(figsize=(7.2, 2.4 * len(tasks) + 0.8))
        rows = figure.subplots(len(tasks), 2, squeeze=False, sharex=True)
        for (task, found), (reward, cost) in zip(tasks.items(), rows, strict=True):
            quality = found["quality"]
            reward.axhspan(*quality["reward_interval"], color=BAND, lw=0, zorder=0)
            cost.axhspan(0, quality["cost_at_most"], color=BAND, lw=0, zorder=0)
            for name, axes in (("reward", reward), ("cost", cost)):
                _curves(axes, name, found["ways"])
                axes.set_ylabel(f"normalised {name}")
                axes.set_title(task, loc="left")
            _cost_axis(cost)
        for axes in rows.ravel():
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        for axes in rows[-1]:
            axes.set_xlabel("minutes of training, one seed")
        lines = [
            Line2D([], [], color=s.colour, marker=s.marker, ls=s.line, ms=4, lw=1.2, label=s.label)
            for s in STYLES.values()
        ]
        good = Line2D([], [], mfc="none", marker="o", mec="black", ls="", ms=9, label="first good")
        band = Patch(color=BAND, label="good enough")
        # Row by row, though Matplotlib fills columns.
        nothing = Line2D([], [], ls="", label=" ")
        handles = [lines[0], good, lines[1], band, lines[2], nothing]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
        plots.save(figure, path)


def _curves(axes: Axes, name: str, ways: Mapping[str, Any]) -> None:
    for way, entry in ways.items():
        style = STYLES[way]
        minutes, values = zip(*((p["minutes"], p[name]) for p in entry["points"]), strict=True)
        axes.plot(
            minutes, values, color=style.colour, marker=style.marker, ls=style.line, ms=4, lw=1.2,
            clip_on=False, zorder=3,
        )  # fmt: skip
        first = next((point for point in entry["points"] if point["reached"]), None)
        if first is not None:
            at = first["minutes"], first[name]
            axes.plot(*at, "o", ms=9, mfc="none", mec="black", mew=1, clip_on=False, zorder=4)
            if name == "reward":
                axes.annotate(
                    f"{first['minutes']:.2g} min", at, style.beside, textcoords="offset points",
                    ha="center", va="center", color=style.colour, zorder=5,
                )  # fmt: skip


def _cost_axis(axes: Axes) -> None:
    """From 0; costs of less than 1 and those of many alike can be told apart."""
    axes.set_yscale("symlog", linthresh=LINEAR_BELOW)
    top = max(axes.get_ylim()[1], LINEAR_BELOW)
    axes.set_ylim(0, top)
    ticks = [0, 0.5, 1, *(t for t in (2, 5, 10, 20, 50, 100) if t <= top)]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.yaxis.set_minor_locator(NullLocator())


if __name__ == "__main__":
    for name in sys.argv[1:]:
        file = Path(name)
        draw(file.with_suffix(".png"), json.loads(file.read_text(encoding="utf-8")))
