"""Datasets: HDF5 in DSRL's layout to Parquet, in chunks, and the settings of a collection."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from project import ROOT

from fisor import datasets, transitions
from fisor.datasets import CollectionSettings, collection_settings, convert, write_hdf5
from fisor.errors import InputError
from fisor.tasks import Task, load_task

# Episodes of 4, 1, 3 and 2 rows: two time out, the second ends at once, the last is left open.
EPISODE = [0, 0, 0, 0, 1, 2, 2, 2, 3, 3]
STEP = [0, 1, 2, 3, 0, 0, 1, 2, 0, 1]
TERMINAL_ROWS, TIMEOUT_ROWS = [4], [3, 7]
ROWS = len(EPISODE)
# observations 3, actions 2, next_observations 3, rewards, costs and violations, float32; 2 flags
ROW_BYTES = 4 * (3 + 2 + 3 + 1 + 1 + 1) + 2


def fields() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(2)
    return {
        "observations": draw.normal(size=(ROWS, 3)).astype(np.float32),
        "actions": draw.uniform(-1, 1, (ROWS, 2)).astype(np.float32),
        "next_observations": draw.normal(size=(ROWS, 3)).astype(np.float32),
        "rewards": draw.normal(size=ROWS).astype(np.float32),
        "costs": draw.integers(0, 2, ROWS).astype(np.float32),
        "terminals": np.isin(np.arange(ROWS), TERMINAL_ROWS),
        "timeouts": np.isin(np.arange(ROWS), TIMEOUT_ROWS),
        "violations": draw.normal(size=ROWS).astype(np.float32),
    }


@pytest.fixture
def task() -> Task:
    return load_task("PointRobot", ROOT / "tasks.yaml")


@pytest.fixture
def converted(tmp_path: Path, task: Task) -> Callable[..., Path]:
    """A function (field=array, without=name) -> the Parquet file made of our fields and those."""

    def run(without: str = "", **changes: np.ndarray) -> Path:
        kept = {name: v for name, v in {**fields(), **changes}.items() if name != without}
        write_hdf5(tmp_path / "raw.hdf5", kept)
        convert(tmp_path / "raw.hdf5", tmp_path / "out" / "Toy.parquet", task)
        return tmp_path / "out" / "Toy.parquet"

    return run


def chunks_of(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "CHUNK_BYTES", rows * ROW_BYTES)


def refused(tmp_path: Path, run: Callable[..., Path], *parts: str, **changes: object) -> None:
    """The conversion fails with the file's name and `parts`, and leaves no file."""
    with pytest.raises(InputError) as caught:
        run(**changes)
    for part in (str(tmp_path / "raw.hdf5"), *parts):
        assert part in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "raw.hdf5"]


def test_every_array_arrives_as_it_was(converted: Callable) -> None:
    """HDF5 to Parquet changes no number; column by column, the dense violation included."""
    table, given = transitions.read_table(converted(), ()), fields()
    pairs = {**datasets.COLUMNS, "violations": "violation"}
    assert set(table.column_names) == {*pairs.values(), "episode", "step"}
    for field, column in pairs.items():
        read = transitions.matrix if given[field].ndim == 2 else transitions.vector
        np.testing.assert_array_equal(read(table, column, "Toy"), given[field], strict=True)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 7, 9, 10, 1000])
def test_episodes_are_counted_across_chunks(
    rows: int, converted: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Episode and step are those counted by hand, wherever a chunk's border falls."""
    chunks_of(rows, monkeypatch)
    path = converted()
    table = pq.read_table(path)
    assert table["episode"].to_pylist() == EPISODE
    assert table["step"].to_pylist() == STEP
    file = pq.ParquetFile(path)
    assert file.num_row_groups == -(-ROWS // rows)
    assert file.metadata.row_group(0).num_rows == min(rows, ROWS)


def test_chunks_change_no_number(converted: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Converted three rows at a time, the table equals the one converted at once."""
    whole = pq.read_table(converted()).combine_chunks()
    chunks_of(3, monkeypatch)
    assert pq.read_table(converted()).combine_chunks().equals(whole)


def test_what_is_converted_can_be_trained_on(converted: Callable) -> None:
    """`transitions.load` takes the file and finds the ends where they were."""
    loaded = transitions.load(converted(), None, timeouts_are_terminal=True)
    assert np.flatnonzero(loaded.terminals).tolist() == sorted(TERMINAL_ROWS + TIMEOUT_ROWS)


def test_same_arrays_give_the_same_bytes(converted: Callable, tmp_path: Path) -> None:
    """Both the HDF5 and the Parquet file are a function of the arrays; other arrays differ."""
    written = []
    for changes in ({}, {}, {"rewards": fields()["rewards"] + 1}):
        path = converted(**changes)
        written.append(((tmp_path / "raw.hdf5").read_bytes(), path.read_bytes()))
        path.unlink()
        (tmp_path / "raw.hdf5").unlink()
    assert written[0] == written[1]
    assert written[0][0] != written[2][0]
    assert written[0][1] != written[2][1]


def test_facts_of_the_task_are_in_the_metadata(converted: Callable) -> None:
    """The Parquet file tells by itself which task it belongs to and how to score it."""
    facts = transitions.facts_of(transitions.read_table(converted(), ()))
    assert facts == {
        "task": "PointRobot",
        "suite": "point_robot",
        "environment": "PointRobot",
        "horizon_steps": 300,
        "cost_limit": 5,
        "reference_returns": list(load_task("PointRobot", ROOT / "tasks.yaml").reference_returns),
        "source": "collect",
        "transitions": ROWS,
    }


def test_sparse_task_needs_no_violations(tmp_path: Path, task: Task) -> None:
    """A dataset as DSRL's, without h, converts for a task whose h comes from the cost."""
    kept = {name: values for name, values in fields().items() if name != "violations"}
    write_hdf5(tmp_path / "raw.hdf5", kept)
    sparse = dataclasses.replace(task, dense_violation=False)
    convert(tmp_path / "raw.hdf5", tmp_path / "Toy.parquet", sparse)
    assert "violation" not in pq.read_schema(tmp_path / "Toy.parquet").names


def test_float64_and_flags_as_numbers_are_taken(converted: Callable) -> None:
    """DSRL's files hold doubles and flags as numbers; the columns are float32 and bool."""
    given = fields()
    path = converted(
        rewards=given["rewards"].astype(np.float64),
        observations=given["observations"].astype(np.float64),
        terminals=given["terminals"].astype(np.float32),
        timeouts=given["timeouts"].astype(np.uint8),
    )
    loaded = transitions.load(path, None, timeouts_are_terminal=False)
    np.testing.assert_array_equal(loaded.rewards, given["rewards"], strict=True)
    np.testing.assert_array_equal(loaded.observations, given["observations"], strict=True)
    np.testing.assert_array_equal(loaded.terminals, given["terminals"], strict=True)


@pytest.mark.parametrize("name", [*datasets.COLUMNS, "violations"])
def test_missing_field_is_named(name: str, tmp_path: Path, converted: Callable) -> None:
    """Each field of DSRL's layout, and h where the task has it, is asked for by name."""
    refused(tmp_path, converted, f"field `{name}` is missing", without=name)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "name", ["observations", "actions", "next_observations", "rewards", "costs", "violations"]
)
def test_row_that_is_not_finite_is_named(
    name: str,
    value: float,
    tmp_path: Path,
    converted: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Row 8 of the file is named, not its place in the third chunk; chunks before leave nothing."""
    chunks_of(3, monkeypatch)
    values = fields()[name]
    values.reshape(ROWS, -1)[8, -1] = value
    refused(tmp_path, converted, f"row 8 of `{name}` is NaN or infinite", **{name: values})


@pytest.mark.parametrize("name", [n for n in [*datasets.COLUMNS, "violations"] if n != "rewards"])
def test_field_of_another_number_of_rows_is_named(
    name: str, tmp_path: Path, converted: Callable
) -> None:
    """A field with a row less than the rewards is refused with its shape."""
    values = fields()[name][:-1]
    message = f"`{name}` is {values.shape} where `rewards` has {ROWS} rows"
    refused(tmp_path, converted, message, **{name: values})


def test_vectors_of_other_shapes_are_refused(tmp_path: Path, converted: Callable) -> None:
    """Vectors of s and of the next s unlike in length, images, and actions that are no vectors."""
    message = "observations, actions, next_observations are [(3,), (2,), (4,)] a row"
    refused(tmp_path, converted, message, next_observations=np.zeros((ROWS, 4), np.float32))
    images = np.zeros((ROWS, 2, 2), np.float32)
    message = "observations, actions, next_observations are [(2, 2), (2,), (2, 2)] a row"
    refused(tmp_path, converted, message, observations=images, next_observations=images)
    message = "observations, actions, next_observations are [(3,), (), (3,)] a row"
    refused(tmp_path, converted, message, actions=np.zeros(ROWS, np.float32))


@pytest.mark.parametrize("name", ["rewards", "costs", "terminals", "timeouts", "violations"])
def test_scalar_field_of_another_shape_is_named(
    name: str, tmp_path: Path, converted: Callable
) -> None:
    """One number a row means `[rows]`; `[rows, 1]` is refused by name."""
    refused(tmp_path, converted, f"`{name}`", **{name: fields()[name][:, None]})


def test_dataset_without_rows_is_refused(tmp_path: Path, converted: Callable) -> None:
    """A file with every field and no row is refused as such."""
    nothing = {name: values[:0] for name, values in fields().items()}
    # HDF5 stores empty arrays, but not compressed ones.
    with h5py.File(tmp_path / "raw.hdf5", "w") as file:
        for name, values in nothing.items():
            file[name] = values
    with pytest.raises(InputError, match=r"raw\.hdf5: holds no transition"):
        convert(
            tmp_path / "raw.hdf5",
            tmp_path / "Toy.parquet",
            load_task("PointRobot", ROOT / "tasks.yaml"),
        )
    assert not (tmp_path / "Toy.parquet").exists()


def test_absent_and_cut_files_are_named(tmp_path: Path, task: Task) -> None:
    """A file that is not there, and one that was cut short, are told apart."""
    raw, out = tmp_path / "raw.hdf5", tmp_path / "Toy.parquet"
    with pytest.raises(InputError, match=r"raw\.hdf5: there is no such file"):
        convert(raw, out, task)
    write_hdf5(raw, fields())
    raw.write_bytes(raw.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"raw\.hdf5: is not a whole HDF5 file"):
        convert(raw, out, task)
    assert not out.exists()


def test_collection_settings_are_read(task: Task) -> None:
    """The `acquire` entry of a collected task, as numbers."""
    assert collection_settings(task) == CollectionSettings(transitions=100_000, seed=0)


@pytest.mark.parametrize(
    ("acquire", "problem"),
    [
        ({"source": "download", "transitions": 10, "seed": 0}, r"source: must be `collect`"),
        ({"transitions": 10, "seed": 0}, r"source: must be `collect`"),
        ({"source": "collect", "seed": 0}, r"must hold source, transitions, seed"),
        ({"source": "collect", "transitions": 10, "seed": 0, "speed": 1}, r"must hold source"),
        ({"source": "collect", "transitions": 1, "seed": 0}, r"transitions: .* >= 2, not 1"),
        ({"source": "collect", "transitions": 1e5, "seed": 0}, r"transitions: must be a whole"),
        ({"source": "collect", "transitions": 10, "seed": -1}, r"seed: .* >= 0, not -1"),
        ({"source": "collect", "transitions": 10, "seed": True}, r"seed: must be a whole number"),
    ],
)
def test_wrong_collection_settings_are_named(acquire: dict, problem: str, task: Task) -> None:
    """Unknown, missing, mistyped and out-of-range settings are refused with the task's name."""
    with pytest.raises(InputError, match=rf"PointRobot\.acquire.*{problem}"):
        collection_settings(dataclasses.replace(task, acquire=acquire))
