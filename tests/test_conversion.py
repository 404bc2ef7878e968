"""Conversion: DSRL's HDF5 to Parquet, in chunks, and the fields that it takes or refuses."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from configured import section
from raw_dataset import EPISODE, ROWS, STEP, chunks_of, fields, refused

from fisor.config.data import ConvertStage
from fisor.data import conversion, loading, parquet
from fisor.data.conversion import Changes, convert
from fisor.data.hdf5 import write_hdf5
from fisor.errors import InputError


def test_every_array_arrives_as_it_was(converted: Callable) -> None:
    """HDF5 to Parquet changes no number; column by column, the dense violation included."""
    table, given = parquet.read_table(converted(), ()), fields()
    given["timeouts"][-1] = True  # but for the end of the episode that the file cuts
    pairs = {**conversion.COLUMNS, "violations": "violation"}
    assert set(table.column_names) == {*pairs.values(), "episode", "step"}
    for field, column in pairs.items():
        read = parquet.matrix if given[field].ndim == 2 else parquet.vector
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
    """`loading.load` takes the file and finds the ends where they were, and the cut one."""
    loaded = loading.load(converted(), None, timeouts_are_terminal=True)
    assert np.flatnonzero(loaded.terminals).tolist() == [3, 4, 7, ROWS - 1]


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
    facts = parquet.facts_of(converted())
    assert facts == {
        "task": "PointRobot",
        "suite": "point_robot",
        "environment": "PointRobot",
        "horizon_steps": 300,
        "cost_limit": 5,
        "reference_returns": list(section(ConvertStage).reference_returns),
        "source": "collect",
        "changes": dataclasses.asdict(Changes(cut_episodes=1)),
    }


def test_sparse_task_needs_no_violations(tmp_path: Path) -> None:
    """A dataset as DSRL's, without h, converts for a task whose h comes from the cost."""
    kept = {name: values for name, values in fields().items() if name != "violations"}
    write_hdf5(tmp_path / "raw.hdf5", kept)
    sparse = section(ConvertStage, dense_violation=False)
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
    loaded = loading.load(path, None, timeouts_are_terminal=False)
    np.testing.assert_array_equal(loaded.rewards, given["rewards"], strict=True)
    np.testing.assert_array_equal(loaded.observations, given["observations"], strict=True)
    np.testing.assert_array_equal(loaded.terminals, given["terminals"], strict=True)


NEEDED = [n for n in (*conversion.COLUMNS, "violations") if n != "next_observations"]


@pytest.mark.parametrize("name", NEEDED)
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
    refused(
        tmp_path,
        converted,
        f"1 of {ROWS} rows",
        f"row 8 (`{name}` is NaN or infinite)",
        **{name: values},
    )


@pytest.mark.parametrize("name", [n for n in [*conversion.COLUMNS, "violations"] if n != "rewards"])
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


SCALARS = ["rewards", "costs", "terminals", "timeouts", "violations"]


@pytest.mark.parametrize("name", SCALARS)
def test_scalar_field_of_another_shape_is_named(
    name: str, tmp_path: Path, converted: Callable
) -> None:
    """One number a row means `[rows]` or `[rows, 1]`; `[rows, 2]` is refused by name."""
    doubled = np.stack([fields()[name]] * 2, axis=1)
    refused(tmp_path, converted, f"`{name}` is (10, 2)", **{name: doubled})


def test_one_number_a_row_may_be_a_column(converted: Callable) -> None:
    """Some of DSRL's files hold `[rows, 1]`: the table is the same as of `[rows]`."""
    plain = pq.read_table(converted())
    columns = {name: fields()[name][:, None] for name in SCALARS}
    assert pq.read_table(converted(**columns)).equals(plain)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.float32, np.float64])
def test_flags_of_any_type(kind: type, converted: Callable) -> None:
    """Flags as whole numbers or floats are those as booleans."""
    plain = pq.read_table(converted())
    flags = {name: fields()[name].astype(kind) for name in conversion.FLAGS}
    assert pq.read_table(converted(**flags)).equals(plain)


@pytest.mark.parametrize("value", [0.5, 2, -1, np.nan])
@pytest.mark.parametrize("name", conversion.FLAGS)
def test_flag_that_is_neither_is_named(
    name: str, value: float, tmp_path: Path, converted: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is neither 0 nor 1 is no flag, whether or not rows may be dropped."""
    chunks_of(3, monkeypatch)
    flags = fields()[name].astype(np.float32)
    flags[5] = value
    for drop in (False, True):
        refused(tmp_path, converted, f"row 5 of `{name}` is", drop=drop, **{name: flags})


def test_dataset_without_rows_is_refused(tmp_path: Path, converted: Callable) -> None:
    """A file with every field and no row is refused as such."""
    nothing = {name: values[:0] for name, values in fields().items()}
    # HDF5 stores empty arrays, but not compressed ones.
    with h5py.File(tmp_path / "raw.hdf5", "w") as file:
        for name, values in nothing.items():
            file[name] = values
    with pytest.raises(InputError, match=r"raw\.hdf5: holds no transition"):
        convert(tmp_path / "raw.hdf5", tmp_path / "Toy.parquet", section(ConvertStage))
    assert not (tmp_path / "Toy.parquet").exists()


def test_absent_and_cut_files_are_named(tmp_path: Path) -> None:
    """A file that is not there, and one that was cut short, are told apart."""
    raw, out = tmp_path / "raw.hdf5", tmp_path / "Toy.parquet"
    with pytest.raises(InputError, match=r"raw\.hdf5: there is no such file"):
        convert(raw, out, section(ConvertStage))
    write_hdf5(raw, fields())
    raw.write_bytes(raw.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"raw\.hdf5: is not a whole HDF5 file"):
        convert(raw, out, section(ConvertStage))
    assert not out.exists()
