"""`python -m benchmarks.time_to_quality` in small: what it writes, and what it refuses."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from config_files import params_file, values_of
from PIL import Image

from benchmarks import time_to_quality, ways
from benchmarks.time_to_quality import main, read_options
from fisor.config.yaml_files import read_yaml
from fisor.data import parquet
from fisor.errors import InputError

EPISODES, STEPS = 6, 10
# The same rates everywhere, and chunks of two steps: fewer programs to compile.
TINY = {
    "training_steps": 4,
    "learning_rate": 1e-3,
    "cosine_decay": False,
    "soft_update": 0.01,
    "policy_dropout": 0.0,
    "value_batch_size": 8,
    "hidden_units": 8,
    "value_scale": 2,
    "policy_batch_size": 8,
    "policy_blocks": 1,
    "policy_units": 8,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of tiny sizes, in which PointRobot's data is random rows in short episodes."""
    values = values_of("params.yaml")
    sizes = {name: values["sizes"][name] | TINY for name in ("paper", "quick")}
    params_file(tmp_path, sizes=sizes, seeds=2, N=2)
    tasks = {"PointRobot": values_of("tasks.yaml")["PointRobot"] | {"horizon_steps": 20}}
    tasks["PointRobot"]["overrides"] = {"reward": {"training_steps": 8}}
    (tmp_path / "tasks.yaml").write_text(json.dumps(tasks), encoding="utf-8")
    draw, rows = np.random.default_rng(0), EPISODES * STEPS
    last = np.tile(np.arange(STEPS) == STEPS - 1, EPISODES)
    columns = {
        "episode": np.repeat(np.arange(EPISODES, dtype=np.int32), STEPS),
        "step": np.tile(np.arange(STEPS, dtype=np.int32), EPISODES),
        "observation": draw.normal(size=(rows, 11)).astype(np.float32),
        "action": draw.uniform(-1, 1, (rows, 2)).astype(np.float32),
        "next_observation": draw.normal(size=(rows, 11)).astype(np.float32),
        "reward": draw.normal(size=rows).astype(np.float32),
        "cost": np.zeros(rows, np.float32),
        "terminal": np.zeros(rows, bool),
        "timeout": last,
    }
    schema = parquet.schema(11, 2, dense_violation=False, facts={})
    data = tmp_path / "data"
    parquet.write_parquet(data / "transitions/PointRobot.parquet", schema, [columns])
    h = pa.schema([pa.field("violation", pa.float32(), nullable=False)])
    violations = {"violation": draw.normal(size=rows).astype(np.float32)}
    parquet.write_parquet(data / "labels/PointRobot/violations.parquet", h, [violations])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finite(point: dict[str, Any]) -> bool:
    return all(math.isfinite(point[name]) for name in ("minutes", "reward", "cost"))


@pytest.mark.slow
def test_a_tiny_run_writes_everything(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All three ways, their curves by hand from the options, the long run, the figure, a table.

    After each way, what is known so far is on the disk.
    """
    written: list[dict[str, int]] = []

    def draw(path: Path, results: Any) -> None:
        ways = json.loads(path.with_suffix(".json").read_text())["tasks"]["PointRobot"]["ways"]
        written.append({way: len(entry["points"]) for way, entry in ways.items()})
        real(path, results)

    real = time_to_quality.draw
    monkeypatch.setattr(ways, "CHUNKS", dict.fromkeys(ways.CHUNKS, 2))
    monkeypatch.setattr(time_to_quality, "draw", draw)
    given = "PointRobot --episodes 3 --round-steps 2 --shares 1 0.5 --long-run 2 --results out"
    main([*given.split(), "--limit-minutes", "60"])
    results = json.loads(Path("out/PointRobot.json").read_text(encoding="utf-8"))
    found = results["tasks"]["PointRobot"]
    assert (found["rows"], found["episodes"]) == (EPISODES * STEPS, 3)
    quality, of_ways = found["quality"], found["ways"]
    long_run = quality["long_run"]
    assert (long_run["seeds"], long_run["steps"]) == ([0, 1], [8, 16, 8])
    assert len(long_run["reward_of_seeds"]) == 2
    assert quality["reward_at_least"] == long_run["reward_interval"][0] <= long_run["reward"]
    assert quality["cost_at_most"] == max(0.005, long_run["cost_interval"][1])

    assert [point["steps"] for point in of_ways["quick"]["points"]] == [[2, 4, 2], [4, 8, 4]]
    for way in ("paper", "loop"):
        steps = [point["steps"] for point in of_ways[way]["points"]]
        good = [point["reached"] for point in of_ways[way]["points"]]
        assert steps == [2, 4][: len(steps)]
        assert good == [False] * (len(good) - 1) + [good[-1]]
        assert len(steps) == 2 or good == [True]
    # Without the task's overrides.
    assert of_ways["paper"]["sizes"]["reward"]["training_steps"] == 4
    for entry in of_ways.values():
        assert all(map(finite, entry["points"]))
        assert all(point["minutes"] > 0 for point in entry["points"])
    counts = {way: len(entry["points"]) for way, entry in of_ways.items()}
    names = list(counts)
    assert names == ["quick", "paper", "loop"]
    assert written == [{way: counts[way] for way in names[: n + 1]} for n in range(3)]
    assert results["choices"]["shares"] == [1.0, 0.5]
    assert results["command"].endswith("--limit-minutes 60")
    with Image.open("out/PointRobot.png") as picture:
        picture.load()
        assert picture.width > 1000
    printed = capsys.readouterr().out
    for way in of_ways:
        assert f"| PointRobot | {way} |" in printed


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("BallRun BallRun", "a task is named twice"),
        ("BallRun --seed -1", "must be a whole number of at least 0, not '-1'"),
        ("BallRun --seed 0.5", "must be a whole number of at least 0, not '0.5'"),
        ("BallRun --growth 1", "must be a number above 1, not '1'"),
        ("BallRun --limit-minutes nan", "must be a number above 0, not 'nan'"),
        ("BallRun --shares 0.5 x", "must be a number above 0, not 'x'"),
        ("BallRun --reward 0.5 0.2", "--reward needs two numbers, the lower one first"),
        ("BallRun CarRun --reward 0.2 0.5", "--reward is one task's"),
    ],
)
def test_bad_options_are_refused(
    given: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a sentence that says what is wrong."""
    with pytest.raises(SystemExit):
        read_options(given.split())
    assert sentence in capsys.readouterr().err


def test_bad_input_is_refused_before_anything_is_trained(folder: Path) -> None:
    """An unknown task, data that is not there, bounds that leave the cost open."""
    known = list(read_yaml("tasks.yaml"))
    assert known == ["PointRobot"]
    with pytest.raises(InputError, match="there is no task `BallRun`"):
        main(["BallRun"])
    with pytest.raises(InputError, match=r"elsewhere/.*no such file; `dvc repro label` makes it"):
        main(["PointRobot", "--data", "elsewhere"])
    with pytest.raises(InputError, match="give --cost, too"):
        main(["PointRobot", "--reward", "0.1", "0.2"])
    assert not Path("reports").exists()
