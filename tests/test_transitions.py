"""Transitions as Parquet: what is written is read, and bad input is refused by place."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fisor.data import loading, parquet, transitions
from fisor.errors import InputError

ROWS = 6
FACTS = {"task": "Toy", "horizon_steps": 3, "reference_returns": [-1.5, 2.0]}


def columns() -> dict[str, np.ndarray]:
    """Three episodes of 3, 2 and 1 rows: one that times out, one that ends, one that is cut."""
    draw = np.random.default_rng(1)
    return {
        "episode": np.array([0, 0, 0, 1, 1, 2], np.int32),
        "step": np.array([0, 1, 2, 0, 1, 0], np.int32),
        "observation": draw.normal(size=(ROWS, 3)).astype(np.float32),
        "action": draw.uniform(-1, 1, (ROWS, 2)).astype(np.float32),
        "next_observation": draw.normal(size=(ROWS, 3)).astype(np.float32),
        "reward": draw.normal(size=ROWS).astype(np.float32),
        "cost": np.array([0, 0, 1, 0, 0, 2], np.float32),
        "terminal": np.array([False, False, False, False, True, False]),
        "timeout": np.array([False, False, True, False, False, False]),
        "violation": np.array([-1, -0.5, 0.3, -1, -2, 4], np.float32),
    }


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A function (column=array, ...) -> a transition file with those columns in place of ours."""

    def write(**changes: np.ndarray) -> Path:
        path = tmp_path / "Toy.parquet"
        schema = parquet.schema(3, 2, dense_violation=True, facts=FACTS)
        parquet.write_parquet(path, schema, [{**columns(), **changes}])
        return path

    return write


@pytest.fixture
def rewritten(written: Callable[..., Path]) -> Callable[..., Path]:
    """A function (column=Arrow array or None, ...) -> the file with columns swapped or left out."""

    def write(**changes: pa.Array | None) -> Path:
        path = written()
        table = pq.read_table(path)
        for name, values in changes.items():
            index = table.column_names.index(name)
            table = table.remove_column(index)
            if values is not None:
                table = table.add_column(index, name, values)
        path.unlink()
        pq.write_table(table, path)
        return path

    return write


@pytest.fixture
def labelled(tmp_path: Path) -> Callable[[np.ndarray], Path]:
    """A function (h) -> a file of labels."""

    def write(h: np.ndarray) -> Path:
        path = tmp_path / "violations.parquet"
        schema = pa.schema([pa.field("violation", pa.float32(), nullable=False)])
        parquet.write_parquet(path, schema, [{"violation": h}])
        return path

    return write


def changed(name: str, row: int, value: float) -> dict[str, np.ndarray]:
    """Our column `name` with another value in `row`, in the last entry of a vector's."""
    values = columns()[name].copy()
    values.reshape(ROWS, -1)[row, -1] = value
    return {name: values}


def refused(path: Path, *parts: str, labels: Path | None = None) -> None:
    """`load` refuses the file and says so with its name and all of `parts`."""
    with pytest.raises(InputError) as caught:
        loading.load(path, labels, timeouts_are_terminal=True)
    message = str(caught.value)
    for part in (str(path if labels is None else labels), *parts):
        assert part in message


def test_parquet_round_trip(written: Callable, labelled: Callable) -> None:
    """Every array comes back as it was, as float32 and bool, with h from the labels."""
    expected = columns()
    h = np.array([5, -1, -1, 7, -1, -1], np.float32)
    loaded = loading.load(written(), labelled(h), timeouts_are_terminal=False)
    pairs = {
        "observations": "observation",
        "actions": "action",
        "next_observations": "next_observation",
        "rewards": "reward",
        "costs": "cost",
        "terminals": "terminal",
    }
    for field, column in pairs.items():
        values = getattr(loaded, field)
        np.testing.assert_array_equal(values, expected[column], strict=True)
    np.testing.assert_array_equal(loaded.violations, h, strict=True)


def test_row_groups_are_read_as_one(tmp_path: Path) -> None:
    """A file written in chunks of 2 and 4 rows holds the same table as one written at once."""
    schema = parquet.schema(3, 2, dense_violation=True, facts=FACTS)
    pieces = [{k: v[rows] for k, v in columns().items()} for rows in (slice(2), slice(2, None))]
    parquet.write_parquet(tmp_path / "chunks.parquet", schema, pieces)
    parquet.write_parquet(tmp_path / "whole.parquet", schema, [columns()])
    assert pq.ParquetFile(tmp_path / "chunks.parquet").num_row_groups == 2
    chunks, whole = (
        loading.load(tmp_path / name, None, timeouts_are_terminal=True)
        for name in ("chunks.parquet", "whole.parquet")
    )
    assert chunks.violations is None
    assert whole.violations is None
    for one, other in zip(jax.tree.leaves(chunks), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_facts_are_kept(written: Callable) -> None:
    """The task's facts come back from the file's metadata, where they stand as JSON."""
    assert parquet.facts_of(written()) == FACTS
    table = parquet.read_table(written(), ())
    assert json.loads(table.schema.metadata[b"fisor"]) == FACTS


def test_without_labels_there_is_no_h(written: Callable) -> None:
    """A stage that does not need h gets none, not the file's own dense violations."""
    assert loading.load(written(), None, timeouts_are_terminal=True).violations is None


def test_only_the_fields_asked_for_are_kept(written: Callable) -> None:
    """The others are None, which a training neither moves nor holds."""
    loaded = loading.load(written(), None, timeouts_are_terminal=True)
    kept = loaded.only("actions", "costs")
    assert [name for name, values in kept._asdict().items() if values is not None] == [
        "actions",
        "costs",
    ]
    assert kept.costs is loaded.costs


@pytest.mark.parametrize(
    ("timeouts_are_terminal", "terminals"), [(True, [2, 4]), (False, [4])], ids=["end", "go on"]
)
def test_timeouts_are_terminal_or_not(
    timeouts_are_terminal: bool, terminals: list[int], written: Callable
) -> None:
    """Row 4 ends in either case; row 2, a timeout, only where timeouts count as ends."""
    loaded = loading.load(written(), None, timeouts_are_terminal)
    assert np.flatnonzero(loaded.terminals).tolist() == terminals


@pytest.mark.parametrize("name", [*parquet.VECTORS, *parquet.SCALARS])
def test_missing_column_is_named(name: str, rewritten: Callable) -> None:
    """Each column that `load` needs is asked for by name."""
    refused(rewritten(**{name: None}), f"column `{name}` is missing")


@pytest.mark.parametrize("name", parquet.VECTORS)
def test_rows_of_another_length_are_named(name: str, rewritten: Callable) -> None:
    """In a column of lists, the first row that is longer than row 0 is named with both lengths."""
    rows = [[0.0, 1.0, 2.0]] * ROWS
    rows[4] = [0.0, 1.0, 2.0, 3.0]
    path = rewritten(**{name: pa.array(rows, pa.list_(pa.float32()))})
    refused(path, f"row 4 of `{name}` has 4 entries, row 0 has 3")


def test_lists_of_equal_lengths_are_read(rewritten: Callable) -> None:
    """A column of lists whose type does not fix the length reads like one whose type does."""
    actions = columns()["action"]
    path = rewritten(action=pa.array(actions.tolist(), pa.list_(pa.float32())))
    loaded = loading.load(path, None, timeouts_are_terminal=True)
    np.testing.assert_array_equal(loaded.actions, actions, strict=True)


def test_next_observation_of_another_length_is_named(rewritten: Callable) -> None:
    """Vectors of s and of the next s must have as many entries."""
    shorter = pa.array(np.zeros((ROWS, 2)).tolist(), pa.list_(pa.float32(), 2))
    refused(
        rewritten(next_observation=shorter),
        "`observation` has 3 entries and `next_observation` 2",
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", [*parquet.VECTORS, "reward"])
def test_row_that_is_not_finite_is_named(name: str, value: float, written: Callable) -> None:
    """NaN and infinity are found in the last entry of row 3."""
    refused(written(**changed(name, 3, value)), f"row 3 of `{name}` is NaN or infinite")


def test_null_is_named(rewritten: Callable) -> None:
    """A row without a value is refused, in a column of numbers and in one of vectors."""
    rewards = pa.array([0.0, None, 0.0, 0.0, 0.0, 0.0], pa.float32())
    refused(rewritten(reward=rewards), "column `reward` has 1 empty rows")
    actions = pa.array([[0.0, 0.0], None, *[[0.0, 0.0]] * 4], pa.list_(pa.float32(), 2))
    refused(rewritten(action=actions), "column `action` has 1 empty rows")


def test_column_of_another_kind_is_named(rewritten: Callable) -> None:
    """Numbers where vectors are expected, and the reverse, and text, are refused by column."""
    numbers, texts = pa.array(np.zeros(ROWS, np.float32)), pa.array(["a"] * ROWS)
    refused(rewritten(action=numbers), "column `action` must hold lists of numbers, not float")
    lists = pa.array([[0.0]] * ROWS, pa.list_(pa.float32()))
    refused(rewritten(reward=lists), "column `reward` must hold one number a row, not list")
    refused(rewritten(reward=texts), "column `reward` must hold one number a row, not string")


def test_empty_episode_is_named(written: Callable) -> None:
    """Numbering that leaves out episode 1 means an episode without rows."""
    gap = np.array([0, 0, 0, 2, 2, 3], np.int32)
    refused(written(episode=gap), "row 3 belongs to episode 2 where episode 1 is expected")


def test_numbering_that_begins_late_is_named(written: Callable) -> None:
    """The first episode is number 0."""
    late = columns()["episode"] + 1
    refused(written(episode=late), "row 0 belongs to episode 1 where episode 0 is expected")


def test_episode_that_comes_back_is_named(written: Callable) -> None:
    """An episode's rows must stand together."""
    back = np.array([0, 0, 0, 1, 1, 0], np.int32)
    refused(written(episode=back), "row 5 belongs to episode 0 where episode 2 is expected")


@pytest.mark.parametrize(
    ("steps", "place"),
    [
        ([0, 2, 1, 0, 1, 0], "row 1 has step 2 where 1 is expected"),
        ([0, 1, 2, 1, 2, 0], "row 3 has step 1 where 0 is expected"),
        ([0, 1, 2, 3, 4, 5], "row 3 has step 3 where 0 is expected"),
    ],
    ids=["swapped", "first step missing", "not begun anew"],
)
def test_steps_out_of_order_are_named(steps: list[int], place: str, written: Callable) -> None:
    """The steps of an episode are 0, 1, ...; the first row that is not as expected is named."""
    refused(written(step=np.array(steps, np.int32)), place)


def test_no_rows_are_refused(written: Callable) -> None:
    """A file with every column and no row is refused as such."""
    nothing = {name: values[:0] for name, values in columns().items()}
    refused(written(**nothing), "holds no transition")


def test_no_rows_in_lists_of_any_length_are_refused(rewritten: Callable) -> None:
    """As above, where the type of a column does not fix the vectors' length."""
    path = rewritten(action=pa.array([[0.0, 0.0]] * ROWS, pa.list_(pa.float32())))
    pq.write_table(pq.read_table(path).slice(0, 0), path.with_name("none.parquet"))
    refused(path.with_name("none.parquet"), "holds no transition")


@pytest.mark.parametrize("kept", [0, 3, 100, -1])
def test_cut_file_is_refused(kept: int, written: Callable) -> None:
    """A file whose end is missing, from all of it to the last byte, is not read in part."""
    path = written()
    path.write_bytes(path.read_bytes()[:kept])
    refused(path, "is not a whole Parquet file")


def test_absent_file_is_refused(tmp_path: Path) -> None:
    """The message of a file that is not there says what makes it."""
    refused(tmp_path / "none.parquet", "there is no such file; `dvc repro` makes it")


@pytest.mark.parametrize("rows", [ROWS - 1, ROWS + 1])
def test_labels_of_another_number_of_rows_are_refused(
    rows: int, written: Callable, labelled: Callable
) -> None:
    """Labels must be as many as transitions; both files and numbers are named."""
    path = written()
    labels = labelled(np.zeros(rows, np.float32))
    refused(path, f"has {rows} rows and {path} has {ROWS}", labels=labels)


def test_bad_labels_are_named(written: Callable, labelled: Callable, tmp_path: Path) -> None:
    """NaN in the labels, a file of labels without h, and none at all, are refused by file."""
    h = np.zeros(ROWS, np.float32)
    h[2] = np.nan
    refused(written(), "row 2 of `violation` is NaN", labels=labelled(h))
    pq.write_table(pa.table({"h": np.zeros(ROWS)}), tmp_path / "h.parquet")
    refused(written(), "column `violation` is missing", labels=tmp_path / "h.parquet")
    refused(written(), "there is no such file", labels=tmp_path / "none.parquet")


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """When a chunk fails, neither the file nor a part of it stays."""
    schema = parquet.schema(3, 2, dense_violation=True, facts=FACTS)

    def chunks() -> object:
        yield columns()
        raise InputError("the second chunk")

    with pytest.raises(InputError, match=re.escape("the second chunk")):
        parquet.write_parquet(tmp_path / "Toy.parquet", schema, chunks())
    assert list(tmp_path.iterdir()) == []


def test_episode_sums_by_hand() -> None:
    """Sums go by episode, and in float64: 2^24 + 1 is no float32."""
    sums = transitions.episode_sums(
        np.array([0, 0, 1, 2, 2]), np.array([2.0**24, 1, -3, 0.5, 0.25], np.float32)
    )
    assert sums.tolist() == [2.0**24 + 1, -3.0, 0.75]
