"""What every test gets: arrays that mix neither ranks nor types unasked, and small parameters."""

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import jax
import numpy as np
import optax
import project
import pytest
import transition_files
from browser import offline_browser
from configured import section
from dsrl_host import Server, dataset
from plain_study import plain_study
from playwright.sync_api import Page
from project import ROOT, checked, editing
from raw_dataset import fields

from fisor.config.data import ConvertStage
from fisor.config.files import load_params, load_task
from fisor.config.params import Params
from fisor.config.task import Task
from fisor.data.conversion import convert
from fisor.data.hdf5 import write_hdf5
from fisor.data.transitions import Transitions
from fisor.studies.study import Study
from stages import command

# Programs as they are, but compiled without LLVM's optimisations: tests compile far more than they
# compute, and the stages that they run do, too.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# All tests share one, and so do the stages that they run in copies of the project.
command.keep_compiled_programs(ROOT / ".cache/jax")

# Modules that run PointRobot's dynamics, which subtract one centre from many positions.
MIXES_RANKS = {
    "test_point_robot",
    "test_point_robot_truth",
    "test_point_robot_collection",
    "test_time_to_quality",
}


@pytest.fixture(scope="module", autouse=True)
def strict_arrays(request: pytest.FixtureRequest) -> Iterator[None]:
    """JAX refuses to broadcast arrays of other ranks and to mix their types implicitly."""
    ranks = "allow" if request.module.__name__ in MIXES_RANKS else "raise"
    with jax.numpy_rank_promotion(ranks), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture(scope="session", autouse=True)
def adam_may_mix_types() -> Iterator[None]:
    """Optax's Adam raises a float to its whole step count, which strict types would refuse."""

    def lenient(adam: Callable[..., optax.GradientTransformation]) -> Callable:
        def made(*args: Any, **options: Any) -> optax.GradientTransformation:
            strict = adam(*args, **options)

            def update(*args: Any) -> Any:
                with jax.numpy_dtype_promotion("standard"):
                    return strict.update(*args)

            return optax.GradientTransformation(strict.init, update)

        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optax, "adam", lenient(optax.adam))
        patch.setattr(optax, "adamw", lenient(optax.adamw))
        yield


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The project in small, run once for all tests: to be copied, not to be changed."""
    own = tmp_path_factory.getbasetemp()
    return project.first_run(own if worker_id == "master" else own.parent)


@pytest.fixture(scope="module")
def pipeline(first_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in small, run once from nothing and committed."""
    return shutil.copytree(first_run, tmp_path_factory.mktemp("pipeline") / "project")


@pytest.fixture
def edited(pipeline: Path) -> Iterator[Path]:
    """The project in small; what a test edits is put back afterwards."""
    with editing(pipeline) as folder:
        yield folder


@pytest.fixture
def rerun(edited: Path) -> Iterator[Path]:
    """The same for tests that run stages: all outputs are put back, too."""
    yield edited
    checked(edited, "git", "checkout", "--quiet", ".")
    checked(edited, "dvc", "checkout", "--quiet", "--force")


@pytest.fixture(scope="session")
def small_params() -> Callable[..., Params]:
    """A function (changes) -> params.yaml with small networks and those changes."""
    small = dataclasses.replace(
        load_params(ROOT / "params.yaml"),
        hidden_units=8,
        value_batch_size=4,
        policy_units=8,
        policy_blocks=1,
        policy_batch_size=4,
        training_steps=6,
        log_every_updates=4,
        seeds=2,
    )

    def with_changes(**changes: Any) -> Params:
        return dataclasses.replace(small, **changes)

    return with_changes


@pytest.fixture(scope="session")
def random_transitions() -> Callable[..., Transitions]:
    """A function (rows, seed) -> that many unlike transitions of 3 observations and 2 actions."""

    def make(rows: int, seed: int = 0) -> Transitions:
        draw = np.random.default_rng(seed)
        observations, next_observations = draw.normal(size=(2, rows, 3)).astype(np.float32)
        return Transitions(
            observations=observations,
            actions=draw.uniform(-1, 1, (rows, 2)).astype(np.float32),
            next_observations=next_observations,
            rewards=draw.normal(size=rows).astype(np.float32),
            costs=draw.exponential(size=rows).astype(np.float32),
            violations=draw.normal(size=rows).astype(np.float32),
            terminals=np.arange(rows) % 3 == 2,
        )

    return make


@pytest.fixture
def opened() -> Iterator[list[gymnasium.Env]]:
    """A list for a test's environments, which are closed after it: MetaDrive has one at a time."""
    environments: list[gymnasium.Env] = []
    yield environments
    for environment in environments:
        environment.close()


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Server]]:
    """A function -> a further server of the same file; nothing is at hand, and no proxy."""
    monkeypatch.setenv("DSRL_DATASET_DIR", str(tmp_path / "at_hand"))
    monkeypatch.setenv("NO_PROXY", "*")
    started: list[Server] = []

    def start() -> Server:
        started.append(Server(dataset(tmp_path)))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def server(servers: Callable[[], Server]) -> Server:
    return servers()


@pytest.fixture
def task() -> Task:
    return load_task("PointRobot", ROOT / "tasks.yaml")


@pytest.fixture
def converted(tmp_path: Path) -> Callable[..., Path]:
    """A function (field=array, without=name) -> the Parquet file made of our fields and those."""

    def run(without: str = "", drop: bool = False, **changes: np.ndarray) -> Path:
        kept = {name: v for name, v in {**fields(), **changes}.items() if name != without}
        write_hdf5(tmp_path / "raw.hdf5", kept)
        path = tmp_path / "out" / "Toy.parquet"
        convert(tmp_path / "raw.hdf5", path, section(ConvertStage, drop_bad_rows=drop))
        return path

    return run


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A function (column=array, ...) -> a transition file with those columns in place of ours."""
    return partial(transition_files.write, tmp_path)


@pytest.fixture
def rewritten(tmp_path: Path) -> Callable[..., Path]:
    """A function (column=Arrow array or None, ...) -> the file with columns swapped or left out."""
    return partial(transition_files.rewrite, tmp_path)


@pytest.fixture
def labelled(tmp_path: Path) -> Callable[[np.ndarray], Path]:
    """A function (h) -> a file of labels."""
    return partial(transition_files.write_labels, tmp_path)


@pytest.fixture
def open_offline() -> Iterator[Callable[[Path], Page]]:
    """A function (path) -> the page in a browser; the test fails if it asks a host for anything."""
    with offline_browser() as opened:
        yield opened


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Study]:
    """A function (changes) -> the plain study with those keys changed; None leaves one out."""
    return partial(plain_study, tmp_path)


# Left to the end, one of the longest files would run alone. The first one makes `first_run`; those
# that would wait for it come after files that do not need it.
LONGEST_FIRST = (
    "pipeline",
    "interruption",
    "devices",
    "rollouts",
    "pipeline_reruns",
    "pipeline_baselines",
    "readme",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; pytest-xdist hands files out in this order."""
    place = {f"test_{name}": index for index, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST_FIRST)))
