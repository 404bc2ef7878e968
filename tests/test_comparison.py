"""Two experiments side by side: what differs, and whether it lies inside the intervals."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from playwright.sync_api import Page
from project import checked, commit, make_repository

from fisor.compare import comparison
from fisor.compare.revision import Revision, resolve
from fisor.envs.truth import Slice
from fisor.errors import InputError
from fisor.evaluation import regions
from fisor.report import plane


def figure(mean: float | None, low: float | None, high: float | None) -> dict[str, float | None]:
    """A figure as metrics.json has it."""
    return {"mean": mean, "low": low, "high": high}


def test_a_difference_is_inside_if_one_mean_lies_in_the_others_interval() -> None:
    """By hand: touching counts, overlapping intervals do not; without interval, no verdict."""
    a = {
        "in": figure(0.5, 0.4, 0.6),
        "one_way": figure(0.5, 0.0, 1.0),
        "overlap": figure(0.5, 0.3, 0.7),
        "null": figure(None, None, None),
        "deep": {"share": 0.25},
        "only_a": 1.0,
    }
    b = {
        "in": figure(0.6, 0.55, 0.65),
        "one_way": figure(0.9, 0.85, 0.95),
        "overlap": figure(0.9, 0.6, 1.2),
        "null": figure(0.1, 0.0, 0.2),
        "deep": {"share": 0.5},
        "only_b": 1.0,
    }
    found = {row.figure: row for row in comparison.differences(a, b)}
    assert {name: row.inside for name, row in found.items()} == {
        "in": True, "one_way": True, "overlap": False, "null": None, "deep share": None,
    }  # fmt: skip
    lines = comparison.difference_table(list(found.values()), "x", "y").splitlines()
    assert lines[0] == "| figure | A: x | B: y | B − A | intervals |"
    assert lines[2] == "| in | 0.500 [0.400, 0.600] | 0.600 [0.550, 0.650] | +0.1 | inside |"
    assert lines[4].endswith("| +0.4 | **outside** |")
    assert lines[5] == "| null | – | 0.100 [0.000, 0.200] | – | – |"
    assert lines[6] == "| deep share | 0.25 | 0.5 | +0.25 | – |"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two commits and an experiment of a task without a plane; nothing of it was trained."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / "reports/curves/BallRun").mkdir(parents=True)
    make_repository(folder)
    for tau, reward in ((0.9, 0.5), (0.8, 0.25)):
        write(folder, tau, reward)
        commit(folder, f"tau {tau}")
    head = checked(folder, "git", "rev-parse", "HEAD").strip()
    name = f"refs/exps/{head[:2]}/{head[2:]}/tau=0.8"
    checked(folder, "git", "update-ref", name, head)
    checked(folder, "git", "reset", "--quiet", "--hard", "HEAD~1")
    return folder


def write(folder: Path, tau: float, reward: float) -> None:
    """The files of an experiment that a comparison reads."""
    params = {
        "run": ["BallRun"],
        "policies": ["FISOR"],
        "baselines": [],
        "tau": tau,
        "changes": {"N": 16},
    }
    facts = {"suite": "bullet_safety_gym", "environment": "BallRun", "horizon_steps": 100}
    tasks = {"BallRun": facts, "AntRun": {"other": tau}}
    metrics: Any = {"BallRun": {"FISOR": {"normalised_reward": figure(reward, 0.2, 0.55)}}}
    curve = pl.DataFrame(
        {"update": [1, 2], "mean": [tau, 0.5], "low": [0.1, 0.2], "high": [1.0, 0.6]}
    )
    # As DVC writes it: outputs in the order of their paths.
    made = "data/policy/BallRun/FISOR/acting.json", "data/rollouts/BallRun/FISOR.parquet"
    stages = {"evaluate@BallRun-FISOR": {"outs": [{"path": path} for path in made]}}
    (folder / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "tasks.yaml").write_text(yaml.safe_dump(tasks))
    (folder / "reports/metrics.json").write_text(json.dumps(metrics))
    curve.write_csv(folder / "reports/curves/BallRun/mean_of_V_h.csv")


def test_page_of_an_experiment_against_the_workspace(
    repository: Path, tmp_path: Path, open_offline: Callable[[Path], Page]
) -> None:
    """Parameters of what was run, figures and curves; nothing of what is the same.

    The HTML page has the same, and the curves of both overlaid.
    """
    out = tmp_path / "page"
    with Revision(repository, "workspace") as a, Revision(repository, "tau=0.8") as b:
        comparison.write_comparison(out, a, b)
    text = (out / "comparison.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("| `")]
    assert table == ["| `tau` | 0.9 | 0.8 |"]
    assert "0.500 [0.200, 0.550] | 0.250 [0.200, 0.550] | -0.25 | inside |" in text
    assert (out / "BallRun/curves.png").read_bytes().startswith(b"\x89PNG")
    page = open_offline(out / "comparison.html")
    assert page.locator("td").all_inner_texts()[:3] == ["tau", "0.9", "0.8"]
    chart = page.locator(".vega")
    chart.scroll_into_view_if_needed()
    chart.locator("svg").wait_for()
    assert "A: workspace" in chart.inner_text()


def test_names_are_experiments_commits_or_the_workspace(repository: Path) -> None:
    """An experiment and its commit are the same; what is neither is refused with what to do."""
    commit = resolve(repository, "tau=0.8")
    assert commit is not None
    assert resolve(repository, commit[:10]) == commit
    assert resolve(repository, "HEAD") != commit
    assert resolve(repository, "workspace") is None
    with pytest.raises(InputError, match=r"`tau=0.7` is neither .*dvc exp list"):
        resolve(repository, "tau=0.7")


def test_missing_results_are_said(repository: Path) -> None:
    """An output that the cache does not hold is named, with what to do."""
    with (
        Revision(repository, "HEAD") as head,
        pytest.raises(
            InputError, match=r"HEAD: data/rollouts/BallRun/FISOR\.parquet is not in DVC"
        ),
    ):
        head.rollouts("BallRun", "FISOR")


def test_another_versions_experiment_is_refused(repository: Path) -> None:
    """params.yaml without `policies`, as before there were baselines: a sentence."""
    with Revision(repository, "HEAD") as head:
        head.params.pop("policies")
        with pytest.raises(InputError, match="another version"):
            head.rollouts("BallRun", "FISOR")


def test_region_rows_are_drawn(tmp_path: Path) -> None:
    """A row an experiment, a column a slice; values need not be those of a network."""
    truths = {}
    for where in (Slice(0.5, 45), Slice(1, 90)):
        axis = np.linspace(-3, 3, 21)
        x, y = np.meshgrid(axis, axis)
        distance = (0.8 - np.hypot(x, y)).ravel()
        states = np.zeros((axis.size**2, 4), np.float32)
        truths[where] = regions.SliceTruth(axis, states, states, distance, distance - 0.1)
    learned = {
        name: {where: np.stack([t.true_violation + shift] * 2) for where, t in truths.items()}
        for name, shift in (("A", 0.1), ("B", -0.1))
    }
    plane.region_rows(tmp_path / "regions.png", truths, learned)
    assert (tmp_path / "regions.png").read_bytes().startswith(b"\x89PNG")
