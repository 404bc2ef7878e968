"""A file in DSRL's layout goes the whole way: fetched, trained on, evaluated, reported."""

import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl
import pytest
import yaml
from project import SMALL_TASK, checked, edit_yaml, small_copy, write_dsrl_file

pytestmark = pytest.mark.slow

# One task of each suite, with its observation and action sizes.
SIZES = {"BallRun": (7, 2), "SwimmerVelocity": (8, 2), "easysparse": (259, 2)}
HORIZON_STEPS = 20


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on this machine that has a file for each of the tasks."""
    folder = tmp_path_factory.mktemp("host")
    for task, sizes in SIZES.items():
        write_dsrl_file(folder, task, *sizes)
    handler = partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def pipeline(host: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in small, run by one `dvc repro` on the three tasks."""
    folder = small_copy(tmp_path_factory.mktemp("dsrl") / "project")
    edit_yaml(folder / "params.yaml", {"run": list(SIZES), "dataset_hosts": [host]})
    small = {"horizon_steps": HORIZON_STEPS, "overrides": SMALL_TASK["overrides"]}
    small["overrides"] = {**SMALL_TASK["overrides"], "evaluation": {"episodes": 2}}
    edit_yaml(folder / "tasks.yaml", {task: small for task in SIZES})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSRL_DATASET_DIR", str(folder / "nothing_at_hand"))
        checked(folder, "dvc", "repro")
    return folder


@pytest.mark.parametrize("task", SIZES)
def test_episodes_come_from_the_tasks_own_simulator(pipeline: Path, task: str) -> None:
    """Two seeds from the same two starts, of the simulator's sizes, whole and scored."""
    rows = pl.read_parquet(pipeline / f"data/rollouts/{task}/FISOR.parquet")
    assert rows.select("seed", "episode").rows() == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert rows["start"].list.len().unique().to_list() == [SIZES[task][0]]
    assert rows["start"][:2].to_list() == rows["start"][2:].to_list()
    assert rows["length"].is_between(1, HORIZON_STEPS).all()
    assert (rows["cost"] >= 0).all()
    assert rows["truly_feasible"].is_null().all()


def test_the_report_has_each_task_and_its_source(pipeline: Path) -> None:
    """Each task's scores, from its episodes by DSRL's formulas, and the file they came from."""
    metrics = json.loads((pipeline / "reports/metrics.json").read_text())
    report = (pipeline / "reports/report.md").read_text()
    table = yaml.safe_load((pipeline / "tasks.yaml").read_text())
    for task in SIZES:
        rows = pl.read_parquet(pipeline / f"data/rollouts/{task}/FISOR.parquet")
        low, high = table[task]["reference_returns"]
        figures = metrics[task]["FISOR"]
        reward = (rows["return"].mean() - low) / (high - low)
        assert figures["normalised_reward"]["mean"] == pytest.approx(reward, abs=1e-4)
        cost = rows["cost"].mean() / table[task]["cost_limit"]
        assert figures["normalised_cost"]["mean"] == pytest.approx(cost, abs=1e-4)
        recorded = (pipeline / "data/sha256sums.txt").read_text()
        (name,) = [line.split()[1] for line in recorded.splitlines() if task_file(task) in line]
        assert name in report


def task_file(task: str) -> str:
    """The part of DSRL's file names that tells the three tasks apart."""
    return {"BallRun": "BallRun", "SwimmerVelocity": "Swimmer", "easysparse": "easysparse"}[task]
