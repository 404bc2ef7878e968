"""A study's figure. Each function draws one file and computes nothing but the drawing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fisor.config.yaml_files import shown_value
from fisor.envs.truth import Plane
from fisor.report import plane as planes
from fisor.report import plots
from fisor.report.colours import COLOURS, method_styles
from fisor.report.safety import NOT_SEEN, OPPOSITE, SAFE_BELOW, SEEN
from fisor.report.tables import NONE
from fisor.studies.study import Study
from fisor.studies.tables import DONE, known_figures

PANEL_INCHES = 2.7


def _title(axes: Axes, column: str) -> None:
    axes.set_title(column.replace("_", " "))
    if column == "normalised_cost":
        axes.axhline(SAFE_BELOW, color="black", lw=0.9, ls="--", zorder=1)
    elif column == "normalised_reward":
        axes.axhline(0, color="grey", lw=0.6, zorder=1)


def _errors(rows: pl.DataFrame) -> np.ndarray:
    """`[2, n]` distances from the means to the ends of their intervals; 0 where there is none."""
    means = rows["mean"]
    low, high = (means - rows["low"]).fill_null(0), (rows["high"] - means).fill_null(0)
    return np.stack([low, high]).clip(0)


def bars(path: Path, study: Study, long: pl.DataFrame) -> None:
    """A bar for each variant, by its name; the paper's figures as marks.

    Args:
        path: the picture to make: one column of panels per figure, one row per task.
        study: whose variants and columns; a bar has its method's colour.
        long: from `fisor.studies.tables.long_table`.
    """
    tasks = long["task"].unique(maintain_order=True).to_list()
    figures, variants = known_figures(study, long), list(study.points)
    styles = method_styles([study.method_of(variant) for variant in variants])
    colours = {variant: styles[study.method_of(variant)].colour for variant in variants}
    names = 0.5 + 0.07 * max(map(len, variants))  # inches
    # The bars of a row need room, and so does the task's name beside them.
    row = max(0.35 + 0.23 * len(variants), 0.25 + 0.075 * max(map(len, tasks)))
    height = 0.7 + row * len(tasks)
    with mpl.rc_context(plots.STYLE):
        figure = Figure(figsize=(names + PANEL_INCHES * len(figures), height))
        panels = figure.subplots(len(tasks), len(figures), squeeze=False, sharey=True, sharex="col")
        for column, name in enumerate(figures):
            panels[0, column].set_title(name.replace("_", " "))
            for task, axes in zip(tasks, panels[:, column], strict=True):
                _bars(axes, long.filter(figure=name, task=task), colours)
                if name == "normalised_cost":
                    axes.axvline(SAFE_BELOW, color="black", lw=0.9, ls="--", zorder=1)
            shown = long.filter(figure=name)
            if not any([*shown["mean"].drop_nulls(), *shown["paper"].drop_nulls()]):
                # Else Matplotlib would put 0 in the middle.
                panels[0, column].set_xlim(0, 1.1)
        for task, axes in zip(tasks, panels[:, 0], strict=True):
            axes.set_yticks(range(len(variants)), variants)
            axes.set_ylim(len(variants) - 0.5, -0.5)
            if len(tasks) > 1:
                axes.set_ylabel(task)
        if long["paper"].is_not_null().any():
            mark = Line2D([], [], ls="", marker="D", ms=4, mfc="white", mec="black")
            figure.legend([mark], ["the paper's"], loc="outside lower center")
        plots.save(figure, path)


def _bars(axes: Axes, rows: pl.DataFrame, colours: Mapping[str, str]) -> None:
    """The bars of one task and figure, in the order of `colours`."""
    place = {variant: y for y, variant in enumerate(colours)}
    ours, papers = (rows.filter(pl.col(c).is_not_null()) for c in ("mean", "paper"))
    y = [place[variant] for variant in ours["variant"]]
    colour = [colours[variant] for variant in ours["variant"]]
    axes.barh(y, ours["mean"], 0.75, color=colour, alpha=0.7, zorder=2)
    axes.errorbar(
        ours["mean"], y, xerr=_errors(ours), fmt="none", ecolor="black", elinewidth=1, capsize=2,
        zorder=3,
    )  # fmt: skip
    for variant, value in zip(papers["variant"], papers["paper"], strict=True):
        axes.plot(
            value, place[variant], "D", ms=4, mfc="white", mec=colours[variant], zorder=4,
            clip_on=False, in_layout=False,
        )  # fmt: skip
    empty = rows.filter(pl.col("mean").is_null() & pl.col("paper").is_null())
    for variant, state in zip(empty["variant"], empty["state"], strict=True):
        axes.annotate(
            NONE if state == DONE else state, (0, place[variant]), (4, 0), color="grey",
            va="center", fontsize=8, textcoords="offset points",
        )  # fmt: skip
    axes.axvline(0, color="black", lw=0.8, zorder=3)
    axes.margins(x=0.06)
    axes.tick_params(axis="y", length=0)


def lines(path: Path, study: Study, long: pl.DataFrame) -> None:
    """One panel per column: one parameter of the grid along x, one line per value of the other.

    Args:
        path: the picture to make.
        study: a study with a grid of one or two parameters; the last one lies along x.
        long: from `fisor.studies.tables.long_table`.
    """
    *others, along = study.grid
    lines_of = study.grid[others[0]] if others else (None,)
    ran = long.filter(pl.col("mean").is_not_null())
    tasks = ran["task"].unique(maintain_order=True).to_list() or ["no experiment is done"]
    with mpl.rc_context(plots.STYLE):
        count = len(study.columns)
        figure = Figure(figsize=(3.1 * count, 2.6 * len(tasks) + 0.4))
        panels = figure.subplots(len(tasks), count, squeeze=False)
        for task, row in zip(tasks, panels, strict=True):
            for axes, column in zip(row, study.columns, strict=True):
                _title(axes, column)
                for place, value in enumerate(lines_of):
                    _line(axes, study, ran.filter(task=task, figure=column), value, place)
                ticks = range(len(study.grid[along]))
                axes.set_xticks(ticks, [shown_value(v) for v in study.grid[along]])
                axes.set_xlabel(along.replace("_", " "))
                axes.margins(x=0.08, y=0.1)
            row[0].set_ylabel(task)
        if others:
            handles, labels = panels[0, 0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=len(lines_of))
        plots.save(figure, path)


def _line(axes: Axes, study: Study, rows: pl.DataFrame, value: Any, place: int) -> None:
    *others, along = study.grid
    points = [
        (x, variant)
        for variant, point in study.points.items()
        if not others or point[others[0]] == value
        for x in [study.grid[along].index(point[along])]
    ]
    order = pl.DataFrame(points, schema={"x": pl.Int64, "variant": pl.String}, orient="row")
    drawn = order.join(rows, on="variant", how="inner").sort("x")
    shift = 0.05 * (place - (len(study.grid[others[0]]) - 1) / 2) if others else 0.0
    axes.errorbar(
        drawn["x"] + shift, drawn["mean"], _errors(drawn), marker="o", ms=4, lw=1.3,
        elinewidth=0.9, capsize=2, color=COLOURS[place % len(COLOURS)],
        label=f"{others[0]} = {shown_value(value)}" if others else None,
    )  # fmt: skip


def trajectory_rows(
    path: Path,
    plane: Plane,
    episodes: Mapping[str, tuple[Sequence[np.ndarray], Sequence[np.ndarray]]],
) -> None:
    """The paper's Figure 2: trajectories, one row per variant.

    Args:
        path: the picture to make.
        plane: the task's.
        episodes: variant -> episodes from feasible and from infeasible starts, each `[steps, 3]`.
    """
    with mpl.rc_context(plots.STYLE):
        figure = Figure(figsize=(7.4, 3.2 * len(episodes) + 0.4))
        panels = figure.subplots(len(episodes), 2, squeeze=False)
        for (variant, both), row in zip(episodes.items(), panels, strict=True):
            for axes, start, chosen in zip(row, ("feasible", "infeasible"), both, strict=True):
                planes.trajectory_panel(axes, plane, f"From {start} starts", chosen)
            row[0].set_ylabel(variant)
        planes.trajectory_legend(figure)
        plots.save(figure, path)


def claim_intervals(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Each claim's paired differences: one dot per seed, their mean and interval, a common 0.

    Args:
        path: the picture to make.
        rows: from `fisor.studies.claims.checked_claims`.
    """
    rows = [row for row in rows if row["difference"] is not None]
    colours = {SEEN: COLOURS[2], NOT_SEEN: "grey", OPPOSITE: COLOURS[3]}
    with mpl.rc_context(plots.STYLE):
        figure = Figure(figsize=(8.6, 0.85 * len(rows) + 0.9))
        panels = figure.subplots(max(len(rows), 1), 1, squeeze=False).ravel()
        for axes, row in zip(panels, rows, strict=False):
            difference = row["difference"]
            colour = colours[difference.verdict]
            seeds = row["higher_values"] - row["lower_values"]
            axes.plot(difference[1:], [0, 0], color=colour, lw=2.5, solid_capstyle="butt")
            axes.plot(seeds, np.zeros(seeds.size), "o", ms=5, color="white", mec=colour, mew=1.2)
            axes.plot(difference.mean, 0, "|", color="black", ms=14, mew=1.6)
            axes.axvline(0, color="black", lw=0.8, ls="--")
            axes.set(yticks=[], ylim=(-1, 1))
            axes.spines["left"].set_visible(False)
            reach = max(abs(difference.low), abs(difference.high), np.abs(seeds).max()) or 1.0
            axes.set_xlim(-1.1 * reach, 1.1 * reach)
            text = f"{row['claim']} ({row['measure']}): {difference.verdict}"
            axes.set_title(text, loc="left", fontsize=8)
        if rows:
            panels[-1].set_xlabel(
                "higher minus lower, as claimed right of 0; dots are seeds, bars 95 % intervals"
            )
        plots.save(figure, path)
