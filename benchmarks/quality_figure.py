"""The figure of `benchmarks.time_to_quality`: reward and cost against minutes of training.

`python -m benchmarks.quality_figure RESULTS.json` draws it anew beside the file.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fisor.report import plots
from fisor.report.colours import COLOURS

# Colour, marker, line and name of each way; a series of runs is dashed.
WAYS: dict[str, tuple[str, str, str, str]] = {
    "quick": (COLOURS[0], "o", "--", "size: quick, one run per point"),
    "paper": (COLOURS[2], "s", "-", "size: paper, one run"),
    "loop": (COLOURS[3], "^", "-", "reference loop, one run"),
}
BAND = "#DDDDDD"


def draw(path: Path, results: Mapping[str, Any]) -> None:
    """Draw a row of two panels for each task.

    Args:
        path: the picture to make.
        results: what `benchmarks.time_to_quality` has written so far.
    """
    tasks = results["tasks"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(plots.STYLE):
        figure = Figure(figsize=(7.2, 2.5 * len(tasks) + 0.7))
        rows = figure.subplots(len(tasks), 2, squeeze=False, sharex="row")
        for (task, found), (reward, cost) in zip(tasks.items(), rows, strict=True):
            quality = found["quality"]
            reward.axhspan(*quality["reward_interval"], color=BAND, lw=0, zorder=0)
            cost.axhspan(0, quality["cost_at_most"], color=BAND, lw=0, zorder=0)
            for name, axes in (("reward", reward), ("cost", cost)):
                _curves(axes, name, found["ways"])
                axes.set(ylabel=f"normalised {name}", xscale="log")
                axes.xaxis.set_major_formatter("{x:g}")
                axes.set_title(task, loc="left")
            cost.set_ylim(bottom=0)
        for axes in rows[-1]:
            axes.set_xlabel("minutes of training, one seed")
        lines = [
            Line2D([], [], color=colour, marker=marker, ls=line, ms=4, lw=1.2, label=label)
            for colour, marker, line, label in WAYS.values()
        ]
        good = Line2D([], [], color="white", marker="o", mec="black", ls="", ms=8, label="good")
        band = Patch(color=BAND, label="good enough")
        figure.legend(handles=[*lines, good, band], loc="outside lower center", ncols=3)
        plots.save(figure, path)


def _curves(axes: Axes, name: str, ways: Mapping[str, Any]) -> None:
    for way, entry in ways.items():
        colour, marker, line, _ = WAYS[way]
        minutes, values = zip(*((p["minutes"], p[name]) for p in entry["points"]), strict=True)
        axes.plot(
            minutes, values, color=colour, marker=marker, ls=line, ms=4, lw=1.2, clip_on=False
        )
        first = next((point for point in entry["points"] if point["reached"]), None)
        if first is not None:
            at = first["minutes"], first[name]
            axes.plot(*at, "o", ms=9, mfc="none", mec="black", mew=1, clip_on=False, zorder=4)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        file = Path(name)
        draw(file.with_suffix(".png"), json.loads(file.read_text(encoding="utf-8")))
