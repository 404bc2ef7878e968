"""Pictures of a robot's plane: feasible regions, trajectories. Each function draws one file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from fisor.envs.truth import Plane, Slice
from fisor.evaluation.regions import SliceTruth
from fisor.report import plots

HAZARD, GOAL, ROBOT = "#4c86bd", "#59a859", "#c8433c"
LEARNED, TRUE = "#d1495b", "black"
SPEEDS = mpl.colors.Normalize(-1.5, 2.0)  # the robot may drive backwards


def draw_plane(axes: Axes, plane: Plane, title: str) -> None:
    """Hazards, goal and the box."""
    for hazard in plane.hazards:
        axes.add_patch(Circle(hazard.centre, hazard.radius, color=HAZARD, alpha=0.55, lw=0))
    axes.add_patch(Circle(plane.goal.centre, plane.goal.radius, color=GOAL, lw=0))
    _square(axes, plane.half_width)
    axes.set_title(title)
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)


def _square(axes: Axes, half: float) -> None:
    axes.set(xlim=(-half, half), ylim=(-half, half), aspect="equal", xticks=[], yticks=[])


def task_and_regions(
    path: Path,
    plane: Plane,
    data_positions: np.ndarray,
    slices: Sequence[Slice],
    truths: Sequence[SliceTruth],
    feasible_values: Sequence[np.ndarray],
    symbol: str,
) -> None:
    """The paper's Figure 1: task, data, and learned against true feasible region.

    Args:
        path: the picture to make.
        plane: the task's.
        data_positions: `[n, 2]` positions of the dataset.
        slices: speed and heading of each region.
        truths: of each slice.
        feasible_values: for each slice `[seeds, n * n]`, above 0 where infeasible.
        symbol: what these are: V_h, or a cost value less its threshold.
    """
    with mpl.rc_context(plots.STYLE):
        figure = Figure(figsize=(13.2, 3.2))
        panels = figure.subplots(1, 2 + len(slices))
        draw_plane(panels[0], plane, "(a) Task")
        panels[0].add_patch(Circle((-2.4, -2.4), 0.12, color=ROBOT, lw=0))
        panels[0].annotate(
            "",
            (-1.5, -1.9),
            (-2.4, -2.4),
            arrowprops={"arrowstyle": "->", "color": ROBOT, "lw": 1.5},
        )
        for hazard in plane.hazards:
            panels[0].text(*hazard.centre, "hazard", ha="center", va="center", color="white")
        x, y = plane.goal.centre
        panels[0].text(x, y - 0.5, "goal", ha="center", va="top", color=GOAL)
        draw_plane(panels[1], plane, "(b) Offline data")
        panels[1].hexbin(
            *data_positions.T, gridsize=60, extent=(-3, 3, -3, 3), bins="log", cmap="Greys", lw=0.1
        )
        for axes, where, truth, values in zip(
            panels[2:], slices, truths, feasible_values, strict=True
        ):
            region_panel(axes, where, truth, values)
        for axes, letter in zip(panels[2:], "cdefgh", strict=False):
            axes.set_title(f"({letter}) {axes.get_title()}")
        mappable = panels[-1].collections[0]
        figure.colorbar(mappable, ax=panels[-1], shrink=0.75, label=f"learned {symbol}, first seed")
        _region_legend(figure, f"learned {symbol} = 0, one line per seed")
        plots.save(figure, path)


def region_panel(axes: Axes, where: Slice, truth: SliceTruth, values: np.ndarray) -> None:
    """Learned against true feasible region over a slice, of `[seeds, n * n]` V_h."""
    n = truth.axis.size
    levels = np.linspace(-1.6, 0.8, 25)
    axes.contourf(
        truth.axis, truth.axis, values[0].reshape(n, n), levels, cmap="RdBu_r", extend="both",
        norm=mpl.colors.TwoSlopeNorm(0, levels[0], levels[-1]), zorder=0,
    )  # fmt: skip
    for seed in values:
        axes.contour(
            truth.axis, truth.axis, seed.reshape(n, n), [0], colors=LEARNED, linewidths=1.0
        )
    for oracle, dashes in ((truth.true_violation, "--"), (truth.papers_violation, ":")):
        axes.contour(
            *(truth.axis, truth.axis, oracle.reshape(n, n), [0]),
            colors=TRUE, linewidths=1.2, linestyles=dashes,
        )  # fmt: skip
    angle = np.deg2rad(where.heading_degrees)
    _square(axes, truth.axis[-1])
    axes.set_title(f"$v$ = {where.speed:g}, heading {where.heading_degrees:g}°")
    along = 0.25 * np.cos(angle), 0.25 * np.sin(angle)
    axes.annotate(
        "",
        (-2.5 + along[0], 2.5 + along[1]),
        (-2.5 - along[0], 2.5 - along[1]),
        arrowprops={"arrowstyle": "->", "lw": 1.5},
    )


def trajectories(
    path: Path, plane: Plane, feasible: Sequence[np.ndarray], infeasible: Sequence[np.ndarray]
) -> None:
    """The paper's Figure 2: trajectories from feasible and from infeasible starts.

    Args:
        path: the picture to make.
        plane: the task's.
        feasible: `[steps, 3]` x, y, speed of each episode that starts in the feasible region.
        infeasible: the same for those that start outside of it.
    """
    with mpl.rc_context(plots.STYLE):
        figure = Figure(figsize=(7.4, 3.6))
        titles = "From feasible starts", "From infeasible starts"
        for axes, title, episodes in zip(
            figure.subplots(1, 2), titles, (feasible, infeasible), strict=True
        ):
            trajectory_panel(axes, plane, title, episodes)
        trajectory_legend(figure)
        plots.save(figure, path)


def trajectory_panel(axes: Axes, plane: Plane, title: str, episodes: Sequence[np.ndarray]) -> None:
    """Episodes on the plane, each `[steps, 3]` of x, y and speed."""
    draw_plane(axes, plane, title)
    for episode in episodes:
        x, y, speed = episode.T
        axes.scatter(x, y, c=speed, s=2.0, norm=SPEEDS, cmap="viridis", zorder=2)
        axes.plot(x[0], y[0], "o", color=ROBOT, ms=4, zorder=3)
        axes.plot(x[-1], y[-1], "x", color="black", ms=4, zorder=3)


def trajectory_legend(figure: Figure) -> None:
    """What `trajectory_panel` draws."""
    mappable = mpl.cm.ScalarMappable(SPEEDS, "viridis")
    label = "speed (below 0: backwards)"
    figure.colorbar(mappable, ax=figure.axes, shrink=0.8, label=label, extend="both")
    handles = [
        Line2D([], [], color=ROBOT, marker="o", ls="", ms=4, label="start"),
        Line2D([], [], color="black", marker="x", ls="", ms=4, label="end of the episode"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)


def region_rows(
    path: Path,
    truths: Mapping[Slice, SliceTruth],
    learned: Mapping[str, Mapping[Slice, np.ndarray]],
) -> None:
    """The paper's Figures 1 and 6: feasible regions, one row per variant, one column per slice.

    Args:
        path: the picture to make.
        truths: of each slice.
        learned: variant -> slice -> `[seeds, n * n]` what is above 0 where it is infeasible.
    """
    with mpl.rc_context(plots.STYLE):
        rows, columns = len(learned), len(truths)
        figure = Figure(figsize=(2.25 * columns + 0.9, 2.3 * rows + 0.5))
        panels = figure.subplots(rows, columns, squeeze=False)
        for (variant, slices), row in zip(learned.items(), panels, strict=True):
            for axes, (where, truth) in zip(row, truths.items(), strict=True):
                region_panel(axes, where, truth, slices[where])
            row[0].set_ylabel(variant)
        for axes in panels[1:].ravel():
            axes.set_title("")
        figure.colorbar(
            panels[0, -1].collections[0], ax=panels[:, -1], shrink=0.75 / rows**0.5,
            label="learned value, first seed",
        )  # fmt: skip
        _region_legend(figure, "learned boundary, one line per seed")
        plots.save(figure, path)


def _region_legend(figure: Figure, learned: str) -> None:
    handles = [
        Line2D([], [], color=LEARNED, label=learned),
        Line2D([], [], color=TRUE, ls="--", label="true boundary, all manoeuvres"),
        Line2D([], [], color=TRUE, ls=":", label="paper's truth, one manoeuvre per hazard"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
