"""Bad transition files are refused, with the place of what is wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transition_files import ROWS, columns

from fisor.data import loading, parquet
from fisor.errors import InputError


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
