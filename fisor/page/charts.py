"""Charts of the pages, as Vega-Lite specifications. Each function draws one and computes nothing.

Altair rather than Plotly: its JavaScript is 0.9 MB against 4.7, and `dvc plots` draws with it, too.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import polars as pl

from fisor.evaluation.intervals import Estimate
from fisor.report.colours import BLUE, RED, method_styles
from fisor.report.safety import SAFE_BELOW, ends
from fisor.report.scatter import Panel
from fisor.report.tables import COST

INK = "currentColor"  # of the page around: dark on light, light on dark
HEIGHT_PIXELS = 210
MOST_POINTS = 1500  # of a dataset's episodes in a chart
CIRCLE = "M-1,0A1,1,0,1,1,1,0A1,1,0,1,1,-1,0Z"
SQUARE = "M-.9,-.9H.9V.9H-.9Z"
DIAMOND = "M0,-1.2L1,0L0,1.2L-1,0Z"
SHAPES = {  # Matplotlib's marker -> its outline, for Vega and for the legend
    "o": CIRCLE, "h": CIRCLE, "s": SQUARE, "p": SQUARE, "D": DIAMOND, "d": DIAMOND,
    "^": "M-1,.9L0,-1L1,.9Z", "v": "M-1,-.9L0,1L1,-.9Z",
    "<": "M.9,-1L-1,0L.9,1Z", ">": "M-.9,-1L1,0L-.9,1Z",
    "P": "M-.4,-1H.4V-.4H1V.4H.4V1H-.4V.4H-1V-.4H-.4Z",
    "X": "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z",
    "*": "M0,-1L.29,-.4L.95,-.31L.48,.15L.59,.81L0,.5L-.59,.81L-.48,.15L-.95,-.31L-.29,-.4Z",
}  # fmt: skip
Chart = alt.Chart | alt.LayerChart | alt.FacetChart


def _numbers(values: Any, digits: int = 4) -> list[float | None]:
    """Short numbers, for the file's size; None where there is none."""
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in values]


def specification(chart: Chart, height_pixels: int = HEIGHT_PIXELS) -> dict[str, Any]:
    """The chart as wide as its place on the page, in the page's own colours."""
    return (
        chart.properties(width="container", height=height_pixels)
        .configure(background="transparent", font="system-ui, sans-serif")
        .configure_axis(
            labelColor=INK, titleColor=INK, tickColor=INK, domainColor=INK, gridColor=INK,
            gridOpacity=0.12, titleFontWeight="normal", titleFontSize=12, labelFontSize=11,
        )
        .configure_legend(labelColor=INK, titleColor=INK, orient="bottom", title=None, columns=3)
        .configure_title(color=INK, anchor="start", fontSize=13)
        .configure_view(stroke=None)
        .to_dict(validate=False)  # Altair has checked each part as it was made
    )  # fmt: skip


class Key(NamedTuple):
    """A method in the legend.

    Attributes:
        method: its name.
        colour: of its points and lines.
        outline: of its points, an SVG path within 1 of the origin.
    """

    method: str
    colour: str
    outline: str


def legend(methods: Sequence[str]) -> list[Key]:
    """How each method is drawn, the same in all charts; the page shows it once."""
    styles = method_styles(methods)
    # Black would be lost on a dark page.
    return [
        Key(m, INK if style.colour == "#000000" else style.colour, SHAPES[style.marker])
        for m, style in styles.items()
    ]


def _colours(methods: Sequence[str]) -> alt.Color:
    scale = alt.Scale(domain=list(methods), range=[key.colour for key in legend(methods)])
    return alt.Color("method:N", scale=scale, legend=None)


def reward_against_cost(panel: Panel) -> dict[str, Any]:
    """A task's methods: reward against cost, both with their intervals, and the limit as a line."""
    methods = list(panel.points)
    rows = []
    for method, (cost, reward) in panel.points.items():
        (cost_low, cost_high), (low, high) = ends(cost), ends(reward)
        names = ("cost", "cost_low", "cost_high", "reward", "low", "high")
        values = _numbers((cost.mean, cost_low, cost_high, reward.mean, low, high))
        rows.append({"method": method} | dict(zip(names, values, strict=True)))
    limited = panel.figure == COST
    title = "normalised cost" if limited else panel.figure.replace("_", " ") + " per episode"
    # A method whose seeds disagree has intervals far beyond all points; these are cut.
    costs, rewards = ([e[i].mean for e in panel.points.values()] for i in (0, 1))
    margin = max(0.5 * (max(rewards) - min(rewards)), 0.05)
    bounds = [min(rewards) - margin, max(rewards) + margin]
    reach = 1.5 * max(*costs, SAFE_BELOW if panel.figure == COST else 0.01)
    scale = alt.Scale(type="symlog", constant=1, nice=False, domain=[-0.04 * reach**0.5, reach])

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=title, scale=scale)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title="normalised reward", scale=alt.Scale(domain=bounds))

    outlines = [key.outline for key in legend(methods)]
    shape = alt.Shape("method:N", scale=alt.Scale(domain=methods, range=outlines), legend=None)
    base = alt.Chart(alt.Data(values=rows)).encode(color=_colours(methods))
    tooltip = ["method:N", "reward:Q", "low:Q", "high:Q", "cost:Q", "cost_low:Q", "cost_high:Q"]
    layers = [
        base.mark_rule(opacity=0.6, clip=True).encode(
            x=x("cost_low"), x2="cost_high:Q", y=y("reward")
        ),
        base.mark_rule(opacity=0.6, clip=True).encode(x=x("cost"), y=y("low"), y2="high:Q"),
        base.mark_point(filled=True, size=90, opacity=1).encode(
            x=x("cost"), y=y("reward"), shape=shape, tooltip=tooltip
        ),
    ]
    if limited:
        limit = alt.Chart(alt.Data(values=[{"cost": SAFE_BELOW}]))
        layers.append(limit.mark_rule(strokeDash=[5, 4], color=INK).encode(x="cost:Q"))
    return specification(alt.layer(*layers).properties(title=panel.title), 240)


def dataset(
    returns: np.ndarray, costs: np.ndarray, cost_limit: float, references: tuple[float, float]
) -> dict[str, Any]:
    """A dataset: one point per episode, its return against its cost.

    Args:
        returns: `[episodes]`.
        costs: `[episodes]`.
        cost_limit: cost per episode, drawn as a line.
        references: returns of normalised reward 0 and 1, drawn as lines.
    """
    shown = np.arange(returns.size)
    if returns.size > MOST_POINTS:
        shown = np.linspace(0, returns.size - 1, MOST_POINTS).round().astype(int)
    rows = [
        {"cost": cost, "return": value, "episode": int(episode)}
        for cost, value, episode in zip(
            _numbers(costs[shown]), _numbers(returns[shown]), shown, strict=True
        )
    ]
    within = alt.condition(f"datum.cost <= {cost_limit}", alt.value(BLUE), alt.value(RED))
    points = (
        alt.Chart(alt.Data(values=rows))
        .mark_circle(size=22, opacity=0.5)
        .encode(
            x=alt.X("cost:Q", title="cost of an episode"),
            y=alt.Y("return:Q", title="return of an episode"),
            color=within,
            tooltip=["episode:Q", "cost:Q", "return:Q"],
        )
    )
    limit = alt.Chart(alt.Data(values=[{"cost": cost_limit}])).mark_rule(
        strokeDash=[5, 4], color=INK
    )
    levels = alt.Chart(alt.Data(values=[{"return": level} for level in references])).mark_rule(
        strokeDash=[1, 3], color=INK
    )
    layers = alt.layer(points, limit.encode(x="cost:Q"), levels.encode(y="return:Q"))
    return specification(layers)


def training_curve(title: str, updates: np.ndarray, seeds: np.ndarray) -> dict[str, Any]:
    """A training curve: each seed thin, their mean bold.

    Args:
        title: what it is of.
        updates: `[points]`.
        seeds: `[points, seeds]`.
    """
    rows: list[dict[str, Any]] = []
    for seed, values in enumerate(seeds.T):
        points = zip(updates.tolist(), _numbers(values), strict=True)
        rows += [{"update": u, "value": v, "seed": str(seed)} for u, v in points]
    return _training_curve() | {"title": title, "data": {"values": rows}}


@functools.cache  # a page has a hundred of them
def _training_curve() -> dict[str, Any]:
    """A training curve without its title and data."""
    base = alt.Chart(alt.Data(values=[])).encode(
        x=alt.X("update:Q", title="updates", axis=alt.Axis(format="~s", tickCount=4)),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
    )
    thin = base.mark_line(strokeWidth=1, opacity=0.45, color=BLUE).encode(detail="seed:N")
    bold = base.mark_line(strokeWidth=1.8, color=INK).encode(y="mean(value):Q")
    return specification(alt.layer(thin, bold), 120)


def intervals(title: str, axis: str, estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """One line per method: a figure and its interval.

    Args:
        title: of the chart.
        axis: what the figure is.
        estimates: method -> figure.
    """
    methods = list(estimates)
    rows = [
        {"method": method}
        | dict(zip(("mean", "low", "high"), _numbers((e.mean, *ends(e))), strict=True))
        for method, e in estimates.items()
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("method:N", title=None, sort=methods), color=_colours(methods)
    )
    x = alt.X("low:Q", title=axis, scale=alt.Scale(zero=False))
    bars = base.mark_rule(strokeWidth=3, opacity=0.5).encode(x=x, x2="high:Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        x="mean:Q", tooltip=["method:N", "mean:Q", "low:Q", "high:Q"]
    )
    return specification(alt.layer(bars, points).properties(title=title), 20 * len(methods) + 20)


def profiles(
    title: str,
    axis: str,
    levels: np.ndarray,
    shares: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    symlog: bool = False,
) -> dict[str, Any]:
    """Performance profiles: one line per method, its interval shaded.

    Args:
        title: of the chart.
        axis: what the levels are of.
        levels: `[levels]`.
        shares: method -> share of the runs at each level, and the ends of its interval.
        symlog: whether the axis is logarithmic beyond 1.
    """
    rows: list[dict[str, Any]] = []
    for method, parts in shares.items():
        points = zip(_numbers(levels, 3), *(_numbers(part, 3) for part in parts), strict=True)
        rows += [
            {"method": method, "level": level, "share": share, "low": low, "high": high}
            for level, share, low, high in points
        ]
    scale = alt.Scale(type="symlog", constant=1, nice=False) if symlog else alt.Scale(nice=False)
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("level:Q", title=axis, scale=scale), color=_colours(list(shares))
    )
    bands = base.mark_area(opacity=0.06).encode(
        y=alt.Y("low:Q", title="share of the runs", scale=alt.Scale(domain=[0, 1])), y2="high:Q"
    )
    lines = base.mark_line(strokeWidth=1.8, interpolate="step-after").encode(
        y="share:Q", tooltip=["method:N", "level:Q", "share:Q"]
    )
    return specification(alt.layer(bands, lines).properties(title=title))


def curves_overlaid(title: str, curves: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """A training curve of several experiments: mean and range of the seeds.

    Args:
        title: what it is of.
        curves: experiment -> columns update, mean, low, high.
    """
    rows = [
        {"experiment": name, "update": row["update"]}
        | dict(zip(("mean", "low", "high"), _numbers((row["mean"], row["low"], row["high"])),
                   strict=True))
        for name, curve in curves.items()
        for row in curve.iter_rows(named=True)
    ]  # fmt: skip
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("update:Q", title="updates", axis=alt.Axis(format="~s", tickCount=4)),
        color=alt.Color(
            "experiment:N", scale=alt.Scale(domain=list(curves), range=[BLUE, RED, "#117733"])
        ).legend(alt.Legend(columns=1)),
    )
    bands = base.mark_area(opacity=0.15).encode(
        y=alt.Y("low:Q", title=None, scale=alt.Scale(zero=False)), y2="high:Q"
    )
    lines = base.mark_line(strokeWidth=1.6).encode(y="mean:Q")
    return specification(alt.layer(bands, lines).properties(title=title), 130)
