"""Colours and markers tell methods apart, for colour-blind eyes, too; the picture of Table 1."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from fisor.evaluation.intervals import Estimate
from fisor.report import plots
from fisor.report.colours import COLOURS, STYLES, method_styles
from fisor.report.paper import papers_methods
from fisor.report.scatter import Panel, points_of, reward_against_cost

# Machado, Oliveira and Fernandes (2009), Table 1, of linear RGB at full severity.
EYES = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
JUST_NOTICEABLE = 2.3  # in CIELAB (Mahy, Van Eycken and Oosterlinck 1994)


def lab(colour: str, eye: np.ndarray) -> np.ndarray:
    """CIELAB of a colour as an eye sees it."""
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(eye @ linear, 0, 1) / np.array([0.9505, 1, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", EYES)
def test_colours_are_far_apart(eye: str) -> None:
    """Any two of the paper's methods, and any two of the other lines: five noticeable steps."""
    papers = [style.colour for style in STYLES[: len(papers_methods())]]
    for colours in (papers, COLOURS):
        for first, second in itertools.combinations(colours, 2):
            distance = np.linalg.norm(lab(first, EYES[eye]) - lab(second, EYES[eye]))
            assert distance > 5 * JUST_NOTICEABLE, (first, second)


def test_a_methods_style_is_its_own_whatever_runs_beside_it() -> None:
    """No two of the table share a colour or a marker; the paper's methods keep theirs."""
    assert len({style.colour for style in STYLES}) == len({s.marker for s in STYLES}) == len(STYLES)
    everything = method_styles([*papers_methods(), "own", "another"])
    assert len(set(everything.values())) == len(papers_methods()) + 2
    few = method_styles(["own", "FISOR"])
    assert few == {"own": everything["own"], "FISOR": everything["FISOR"]}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved, instead of files."""
    figures: list[Figure] = []

    def save(figure: Figure, path: Path) -> None:
        figure.draw_without_rendering()  # lays it out
        figures.append(figure)

    monkeypatch.setattr(plots, "save", save)
    return figures


def exact(value: float) -> Estimate:
    return Estimate(value, np.nan, np.nan)


def test_points_lie_at_their_means_with_their_intervals(drawn: list[Figure]) -> None:
    """Two methods on a task, one of them on another; a limit only where there is a cost."""
    cost, reward = Estimate(3.0, 2.0, 5.0), Estimate(0.5, 0.4, 0.7)
    estimates = {
        "FISOR": {"normalised_reward": exact(0.25), "normalised_cost": exact(0.0)},
        "BC": {"normalised_reward": reward, "normalised_cost": cost},
    }
    steps = {"BC": {"normalised_reward": reward, "violating_steps": exact(8.0)}}
    panels = [points_of("BallRun", estimates), points_of("PointRobot", steps)]
    reward_against_cost(Path("unused.png"), panels)
    (figure,) = drawn
    ball, robot = figure.axes
    lines = [tuple(map(tuple, line.get_xydata())) for line in ball.lines]
    assert ((2.0, 0.5), (5.0, 0.5)) in lines
    assert ((3.0, 0.4), (3.0, 0.7)) in lines
    assert ((3.0, 0.5),) in lines
    assert ((0.0, 0.25),) in lines
    assert ((1.0, 0.0), (1.0, 1.0)) in lines  # the limit, over the whole height
    assert ball.get_xlabel() == "normalised cost"
    assert robot.get_xlabel() == "violating steps"
    assert not any(line.get_linestyle() == "--" for line in robot.lines)
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"FISOR", "BC"}


@pytest.mark.parametrize("tasks", [1, 3, 5])
def test_nothing_is_cut_off_and_the_legend_lies_on_no_panel(
    drawn: list[Figure], tasks: int
) -> None:
    """Ten methods, costs up to 40: legend and panels apart, every point within its panel."""
    draw = np.random.default_rng(0)
    methods = [*papers_methods(), "own"]
    panels = [
        Panel(
            f"task {number}",
            "normalised_cost",
            {m: (exact(draw.uniform(0, 40)), exact(draw.uniform(-0.2, 1))) for m in methods},
        )
        for number in range(tasks)
    ]
    reward_against_cost(Path("unused.png"), panels)
    (figure,) = drawn
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == tasks
    legends = figure.legends or [axes.get_legend() for axes in figure.axes if not axes.axison]
    box = legends[0].get_window_extent()
    assert figure.bbox.contains(box.x0, box.y0)
    assert figure.bbox.contains(box.x1, box.y1)
    for axes, panel in zip(shown, panels, strict=True):
        assert not box.overlaps(axes.get_tightbbox())
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        assert (left, right) == shown[0].get_xlim()
        for cost, reward in panel.points.values():
            assert left <= cost.mean <= right
            assert low <= reward.mean <= high
