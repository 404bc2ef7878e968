"""Pictures of the report. Each function draws one file and computes nothing but the drawing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from fisor.envs import point_robot
from fisor.regions import Slice, SliceTruth

HAZARD, GOAL, ROBOT = "#4c86bd", "#59a859", "#c8433c"
LEARNED, TRUE = "#d1495b", "black"
SPEEDS = mpl.colors.Normalize(-1.5, 2.0)  # the robot may drive backwards
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def save(figure: Figure, path: Path) -> None:
    """Write a picture; the same drawing gives the same bytes."""
    # Without the version in the metadata the same picture is the same bytes.
    figure.savefig(path, dpi=160, metadata={"Software": None})


def plane(axes: Axes, title: str) -> None:
    """Hazards, goal and the box."""
    for centre in point_robot.HAZARD_CENTRES:
        axes.add_patch(Circle(centre, point_robot.HAZARD_RADIUS, color=HAZARD, alpha=0.55, lw=0))
    axes.add_patch(Circle(point_robot.GOAL_CENTRE, point_robot.GOAL_RADIUS, color=GOAL, lw=0))
    half = point_robot.HALF_WIDTH
    axes.set(xlim=(-half, half), ylim=(-half, half), aspect="equal", title=title)
    axes.set(xticks=[], yticks=[])
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)


def task_and_regions(
    path: Path,
    data_positions: np.ndarray,
    slices: Sequence[Slice],
    truths: Sequence[SliceTruth],
    feasible_values: Sequence[np.ndarray],
    symbol: str,
) -> None:
    """The paper's Figure 1: task, data, and learned against true feasible region.

    Args:
        path: the picture to make.
        data_positions: `[n, 2]` positions of the dataset.
        slices: speed and heading of each region.
        truths: of each slice.
        feasible_values: for each slice `[seeds, n * n]`, above 0 where infeasible.
        symbol: what these are: V_h, or a cost value less its threshold.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(13.2, 3.2))
        panels = figure.subplots(1, 2 + len(slices))
        plane(panels[0], "(a) Task")
        panels[0].add_patch(Circle((-2.4, -2.4), 0.12, color=ROBOT, lw=0))
        panels[0].annotate(
            "",
            (-1.5, -1.9),
            (-2.4, -2.4),
            arrowprops={"arrowstyle": "->", "color": ROBOT, "lw": 1.5},
        )
        for centre, text in zip(point_robot.HAZARD_CENTRES, ("hazard",) * 2, strict=True):
            panels[0].text(*centre, text, ha="center", va="center", color="white")
        panels[0].text(2.2, 1.7, "goal", ha="center", va="top", color=GOAL)
        plane(panels[1], "(b) Offline data")
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
        handles = [
            Line2D([], [], color=LEARNED, label=f"learned {symbol} = 0, a line a seed"),
            Line2D([], [], color=TRUE, ls="--", label="true boundary, all manoeuvres"),
            Line2D([], [], color=TRUE, ls=":", label="paper's truth, one manoeuvre a hazard"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
        save(figure, path)


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
    half, angle = point_robot.HALF_WIDTH, np.deg2rad(where.heading_degrees)
    axes.set(xlim=(-half, half), ylim=(-half, half), aspect="equal", xticks=[], yticks=[])
    axes.set_title(f"$v$ = {where.speed:g}, heading {where.heading_degrees:g}°")
    along = 0.25 * np.cos(angle), 0.25 * np.sin(angle)
    axes.annotate(
        "",
        (-2.5 + along[0], 2.5 + along[1]),
        (-2.5 - along[0], 2.5 - along[1]),
        arrowprops={"arrowstyle": "->", "lw": 1.5},
    )


def trajectories(
    path: Path, feasible: Sequence[np.ndarray], infeasible: Sequence[np.ndarray]
) -> None:
    """The paper's Figure 2: trajectories from feasible and from infeasible starts.

    Args:
        path: the picture to make.
        feasible: `[steps, 3]` x, y, speed of each episode that starts in the feasible region.
        infeasible: the same for those that start outside of it.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 3.6))
        titles = "From feasible starts", "From infeasible starts"
        for axes, title, episodes in zip(
            figure.subplots(1, 2), titles, (feasible, infeasible), strict=True
        ):
            trajectory_panel(axes, title, episodes)
        trajectory_legend(figure)
        save(figure, path)


def trajectory_panel(axes: Axes, title: str, episodes: Sequence[np.ndarray]) -> None:
    """Episodes on the plane, each `[steps, 3]` of x, y and speed."""
    plane(axes, title)
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


def training_curves(path: Path, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Training curves: each seed thin, their mean bold, their range shaded.

    Args:
        path: the picture to make.
        curves: title -> (updates `[points]`, values `[points, seeds]`).
    """
    with mpl.rc_context(STYLE):
        columns = 4
        rows = -(-len(curves) // columns)
        figure = Figure(figsize=(11.2, 2.3 * rows))
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (title, (updates, values)) in zip(panels, curves.items(), strict=False):
            axes.fill_between(updates, values.min(1), values.max(1), color=HAZARD, alpha=0.25, lw=0)
            axes.plot(updates, values, color=HAZARD, lw=0.5, alpha=0.7)
            axes.plot(updates, values.mean(1), color="black", lw=1.2)
            axes.set(title=title, xlim=(0, updates[-1]))
            axes.xaxis.set_major_formatter(mpl.ticker.EngFormatter(sep=""))
            axes.set_xlabel("updates")
            if values.min() > 0 and values.max() > 20 * values.min():
                axes.set_yscale("log")
            elif values.min() < 0 < values.max():
                axes.axhline(0, color="grey", lw=0.6, zorder=0)
        for axes in panels[len(curves) :]:
            axes.remove()
        save(figure, path)


def return_against_cost(
    path: Path,
    name: str,
    returns: np.ndarray,
    costs: np.ndarray,
    cost_limit: float,
    reference_returns: tuple[float, float],
) -> None:
    """A dataset as the field shows it: return against cost, a point an episode.

    Args:
        path: the picture to make.
        name: of the dataset.
        returns: `[episodes]`.
        costs: `[episodes]`, at least 0.
        cost_limit: cost per episode.
        reference_returns: of normalised reward 0 and 1.
    """
    safe = costs <= cost_limit
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 3.7))
        axes = figure.subplots()
        for chosen, colour, label in (
            (safe, HAZARD, "within the cost limit"),
            (~safe, LEARNED, "above it"),
        ):
            share = f"{label} ({100 * chosen.mean():.0f} %)"
            axes.scatter(
                costs[chosen], returns[chosen], s=9, color=colour, alpha=0.45, lw=0, label=share
            )
        axes.axvline(cost_limit, color="black", lw=1.1, ls="--", zorder=3)
        for level in reference_returns:
            axes.axhline(level, color="grey", lw=0.9, ls=":", zorder=0)
        axes.annotate(
            f"limit {cost_limit:g}", (cost_limit, 1.01), xycoords=("data", "axes fraction"),
            ha="center", va="bottom",
        )  # fmt: skip
        axes.set(xlabel="cost of an episode", ylabel="return of an episode")
        axes.set_title(f"{name}: {returns.size:,} episodes", pad=16)
        axes.margins(x=0.03, y=0.06)
        low, high = reference_returns
        right = axes.twinx()
        right.set(ylim=[(level - low) / (high - low) for level in axes.get_ylim()])
        right.set(yticks=[0, 0.25, 0.5, 0.75, 1], ylabel="normalised reward")
        right.spines["right"].set_visible(True)
        figure.legend(loc="outside lower center", ncols=2, handletextpad=0.2, markerscale=1.6)
        save(figure, path)
