"""A training stage that was killed goes on from its last checkpoint and gives the same bytes."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import mixing
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from project import ROOT, SMALL_TASK, edit_yaml, run

from fisor import code
from fisor.config.params import Params
from fisor.data import parquet
from fisor.nn import checkpoint
from fisor.training import programs, resuming

STAGES = {
    "train_feasibility": {"labels": "labels", "out": "feasibility"},
    "train_reward": {"out": "reward"},
    "train_policy": {"feasibility": "feasibility", "reward": "reward", "out": "policy"},
    "train_baseline": {"out": "baseline"},
}
METHODS = {"train_policy": {"method": "FISOR"}, "train_baseline": {"method": "BC"}}


def train(stage: str, out: str | None = None) -> None:
    """Run a stage in the current folder, as its command would."""
    task = {"task": "PointRobot", **METHODS.get(stage, {})}
    log = f"{out or STAGES[stage]['out']}.log"
    options = {**task, "transitions": "rows.parquet", **STAGES[stage], "log": log}
    import_module(f"stages.{stage}").main(**(options if out is None else options | {"out": out}))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder, the current one, with all stages run without interruption."""
    folder = tmp_path_factory.mktemp("trained")
    for name in ("params.yaml", "tasks.yaml"):
        shutil.copy(ROOT / name, folder)
    sizes = {"training_steps": 8, "T": 2, "hidden_layers": 1, "value_batch_size": 8}
    small = {"batch_size": 8, "hidden_layers": 1, "hidden_units": 8, "training_steps": 8}
    methods = {"methods": {"BC": {"train": small}}, "baselines": ["BC"]}
    edit_yaml(folder / "params.yaml", {"seeds": 2, "log_every_updates": 2, **sizes, **methods})
    overrides = {
        stage: {**changes, **({} if stage == "evaluation" else {"training_steps": 8})}
        for stage, changes in SMALL_TASK["overrides"].items()
    }
    edit_yaml(folder / "tasks.yaml", {"PointRobot": {"overrides": overrides}})
    draw, n = np.random.default_rng(0), 40
    columns = {
        "episode": np.zeros(n, np.int32),
        "step": np.arange(n, dtype=np.int32),
        "observation": draw.normal(size=(n, 3)).astype(np.float32),
        "action": draw.uniform(-1, 1, (n, 2)).astype(np.float32),
        "next_observation": draw.normal(size=(n, 3)).astype(np.float32),
        "reward": draw.normal(size=n).astype(np.float32),
        "cost": np.zeros(n, np.float32),
        "terminal": np.zeros(n, bool),
        "timeout": np.arange(n) == n - 1,
    }
    schema = parquet.schema(3, 2, False, {})
    parquet.write_parquet(folder / "rows.parquet", schema, [columns])
    labels = pa.table({"violation": draw.normal(size=n).astype(np.float32)})
    (folder / "labels").mkdir()
    pq.write_table(labels, folder / "labels/violations.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage in STAGES:
            train(stage)
        yield folder


@pytest.fixture
def kept_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint at every point of the curve."""
    monkeypatch.setattr(resuming, "EVERY_SECONDS", 0.0)


class Killed(BaseException):
    """Stands for a signal that ends the process."""


@contextmanager
def killed_after(checkpoints: int) -> Iterator[None]:
    """What the block trains dies once it has written so many checkpoints."""
    write = resuming.Checkpoints.write
    left = [checkpoints]

    def write_and_die(self: resuming.Checkpoints, updates: int, state: Any) -> None:
        write(self, updates, state)
        left[0] -= 1
        if not left[0]:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resuming.Checkpoints, "write", write_and_die)
        with pytest.raises(Killed):
            yield


def assert_same_files(one: Path, other: Path) -> None:
    """The same files in both folders and those below, byte for byte."""
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (one, other)
    )
    assert first.keys() == second.keys()
    assert [name for name, content in first.items() if content != second[name]] == []


@pytest.mark.usefixtures("kept_always")
@pytest.mark.parametrize("stage", STAGES)
def test_an_interrupted_stage_gives_the_same_bytes(
    trained: Path, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ended after the second of three checkpoints, run again: on from update 4, the same files."""
    with killed_after(2):
        train(stage, out="again")
    assert not (trained / "again").exists()
    capsys.readouterr()
    train(stage, out="again")
    assert "going on from update 4" in capsys.readouterr().err
    assert_same_files(trained / "again", trained / STAGES[stage]["out"])
    assert not [path for path in Path("data/training").rglob("*") if path.is_file()]
    shutil.rmtree(trained / "again")


KILL = """
import os, signal
import safetensors.numpy
import stages.train_reward as stage  # as its command, which imports the same modules
from fisor.training import resuming

resuming.EVERY_SECONDS = 0.0
save, left = safetensors.numpy.save_file, [3]

def save_and_die(*arguments):
    save(*arguments)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

safetensors.numpy.save_file = save_and_die
stage.main("PointRobot", "rows.parquet", "killed", "killed.log")
"""


def test_a_killed_process_gives_the_same_bytes(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL in the middle of writing the third checkpoint: goes on from the second.

    In another process; the half-written one is not taken up.
    """
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", paths)
    result = run(trained, sys.executable, "-c", KILL)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert not (trained / "killed").exists()
    options = ("--task", "PointRobot", "--transitions", "rows.parquet", "--out", "killed")
    command = (sys.executable, "-m", "stages.train_reward", *options, "--log", "log")
    result = run(trained, *command)
    assert result.returncode == 0, result.stderr
    assert "train_reward PointRobot: going on from update 4" in result.stderr
    assert_same_files(trained / "killed", trained / "reward")


# What a checkpoint is bound to -------------------------------------------------------------------


OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "more steps": ({"training_steps": 30}, {}),
    "other points": ({"log_every_updates": 3}, {}),
    "other batches": ({}, {"batch_size": 4}),
    "other data": ({}, {"rows": mixing.ROWS + np.uint32(1)}),
    "other weights": ({}, {"by_weight": True}),
    "other learning rate": ({"learning_rate": 0.5}, {}),
}


@pytest.mark.usefixtures("kept_always")
@pytest.mark.parametrize("name", OTHERS)
def test_a_checkpoint_of_another_training_is_said_and_dropped(
    small_params: Callable[..., Params],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """Whatever differs: the run starts from nothing, and ends as it would have without one."""
    sizes = {"seeds": 1, "training_steps": 20, "log_every_updates": 5}
    with killed_after(1):
        mixing.mix(small_params(**sizes), unfinished=tmp_path)
    changes, options = OTHERS[name]
    params = small_params(**sizes | changes)
    capsys.readouterr()
    states, curve = mixing.mix(params, unfinished=tmp_path, **options)
    printed = capsys.readouterr().err
    assert "is of another training" in printed
    assert "going on" not in printed
    expected, expected_curve = mixing.mix(params, **options)
    np.testing.assert_array_equal(states, expected)
    np.testing.assert_array_equal(curve.metrics["low"], expected_curve.metrics["low"])


@pytest.mark.usefixtures("kept_always")
def test_a_checkpoint_is_bound_to_the_code(
    small_params: Callable[..., Params],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Other code in a module of the project that is imported, and it is not taken up.

    A comment is no other code.
    """
    module = ModuleType("fisor.imported")
    module.__file__ = str(tmp_path / "imported.py")
    monkeypatch.setitem(sys.modules, "fisor.imported", module)
    params = small_params(seeds=1, training_steps=20, log_every_updates=5)
    for text, expected in (
        ("x = 1  # a comment", "going on from update 5"),
        ("x = 2", "is of another training (other code)"),
    ):
        forget_sources()
        Path(module.__file__).write_text("x = 1")
        with killed_after(1):
            mixing.mix(params, unfinished=tmp_path / "kept")
        forget_sources()
        Path(module.__file__).write_text(text)
        mixing.mix(params, unfinished=tmp_path / "kept")
        assert expected in capsys.readouterr().err
        shutil.rmtree(tmp_path / "kept")


def forget_sources() -> None:
    """A process reads each module's file once; the next process reads it again."""
    code._source.cache_clear()


@pytest.mark.usefixtures("kept_always")
@pytest.mark.parametrize("file", [checkpoint.PARAMS, checkpoint.CONFIG])
def test_a_broken_checkpoint_is_said_and_dropped(
    small_params: Callable[..., Params],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
) -> None:
    """A file cut short, as by a full disk or a power cut: named, and training starts anew."""
    params = small_params(seeds=1, training_steps=20, log_every_updates=5)
    with killed_after(1):
        mixing.mix(params, unfinished=tmp_path)
    (path,) = tmp_path.glob(f"*/{file}")
    path.write_bytes(path.read_bytes()[:10])
    states, _ = mixing.mix(params, unfinished=tmp_path)
    assert f"{path}: is not" in capsys.readouterr().err
    np.testing.assert_array_equal(states, mixing.mix(params)[0])


@pytest.mark.usefixtures("kept_always")
@pytest.mark.parametrize("batch_size", [8, 2 * programs.MANY_ROWS])
def test_the_way_of_feeding_does_not_matter(
    small_params: Callable[..., Params],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    batch_size: int,
) -> None:
    """Started with the data on the device, continued from the host: on, to the same bits.

    Large batches, too, which are compiled with other options.
    """
    params = small_params(seeds=2, training_steps=20, log_every_updates=5)
    with killed_after(2):
        mixing.mix(params, unfinished=tmp_path, on_device=True, batch_size=batch_size)
    options = {"unfinished": tmp_path, "on_device": False, "batch_size": batch_size}
    states, curve = mixing.mix(params, **options)
    assert "going on from update 10" in capsys.readouterr().err
    expected, expected_curve = mixing.mix(params, batch_size=batch_size)
    np.testing.assert_array_equal(states, expected)
    np.testing.assert_array_equal(curve.metrics["low"], expected_curve.metrics["low"])


def test_no_checkpoint_before_its_time(
    small_params: Callable[..., Params], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that ends within the time writes none, and works out no identity."""
    monkeypatch.setattr(resuming.Checkpoints, "_config", lambda *_: pytest.fail("worked out"))
    mixing.mix(small_params(training_steps=6, log_every_updates=1), unfinished=tmp_path)
    assert not list(tmp_path.iterdir())
