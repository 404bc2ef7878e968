"""Pictures of the report. Each function draws one file and computes nothing but the drawing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.figure import Figure

from fisor.report.colours import BLUE, COLOURS, RED

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


def training_curves(path: Path, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Training curves: each seed thin, their mean bold, their range shaded.

    Args:
        path: the picture to make.
        curves: title -> (updates `[points]`, values `[points, seeds]`).
    """
    # Margins by hand: the constrained layout would take a third of the time of a whole report.
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):
        columns = 4
        rows = -(-len(curves) // columns)
        figure = Figure(figsize=(11.2, 2.2 * rows))
        figure.subplots_adjust(
            0.06, 0.5 / (2.2 * rows), 0.98, 1 - 0.3 / (2.2 * rows), wspace=0.25, hspace=0.55
        )
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (title, (updates, values)) in zip(panels, curves.items(), strict=False):
            axes.fill_between(updates, values.min(1), values.max(1), color=BLUE, alpha=0.25, lw=0)
            axes.plot(updates, values, color=BLUE, lw=0.5, alpha=0.7)
            axes.plot(updates, values.mean(1), color="black", lw=1.2)
            axes.set(title=title, xlim=(0, updates[-1]))
            axes.xaxis.set_major_formatter(mpl.ticker.EngFormatter(sep=""))
            axes.set_xlabel("updates")
            if values.min() > 0 and values.max() > 100 * values.min():
                axes.set_yscale("log")
                axes.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
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
    """A dataset as the field shows it: return against cost, one point per episode.

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
            (safe, BLUE, "within the cost limit"),
            (~safe, RED, "above it"),
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


def curves_overlaid(path: Path, curves: Mapping[str, Mapping[str, pl.DataFrame]]) -> None:
    """Training curves of several experiments in the same panels, their seeds' range shaded.

    Args:
        path: the picture to make.
        curves: title -> experiment -> columns update, mean, low, high.
    """
    with mpl.rc_context(STYLE):
        columns = min(4, len(curves))
        rows = -(-len(curves) // columns)
        figure = Figure(figsize=(2.8 * columns, 2.3 * rows + 0.4))
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (title, of_experiments) in zip(panels, curves.items(), strict=False):
            for (name, curve), colour in zip(of_experiments.items(), COLOURS, strict=False):
                updates = curve["update"]
                axes.fill_between(
                    updates, curve["low"], curve["high"], color=colour, alpha=0.2, lw=0
                )
                axes.plot(updates, curve["mean"], color=colour, lw=1.2, label=name)
            axes.set(title=title, xlabel="updates")
            axes.xaxis.set_major_formatter(mpl.ticker.EngFormatter(sep=""))
        for axes in panels[len(curves) :]:
            axes.remove()
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=1)
        save(figure, path)
