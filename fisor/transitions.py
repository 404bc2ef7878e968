"""Transitions of a dataset: the columns of data/transitions/TASK.parquet, written and read."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fisor.errors import InputError
from fisor.memory import host_free_bytes
from fisor.outputs import whole_file

VECTORS = ("observation", "action", "next_observation")
SCALARS = {
    "episode": pa.int32(),
    "step": pa.int32(),
    "reward": pa.float32(),
    "cost": pa.float32(),
    "terminal": pa.bool_(),
    "timeout": pa.bool_(),
}
COPIES = 3  # of the matrices while they are read: Arrow's, NumPy's, the device's
ROWS_AT_ONCE = 65536  # on the way to a memory-mapped file
DENSE_VIOLATION = "violation"  # a further column, where the dataset has h itself
METADATA_KEY = b"fisor"
LATE_METADATA_KEY = b"fisor_changes"  # what is known only when all rows are written


class Transitions(NamedTuple):
    """What training reads of a dataset of n transitions; also a batch of them, of leading `[B]`.

    NumPy's arrays as read, JAX's inside of a training step.

    Attributes:
        observations: `[n, obs_dim]` s.
        actions: `[n, action_dim]` a, in [-1, 1].
        next_observations: `[n, obs_dim]` s'.
        rewards: `[n]` r, scaled where the caller says so.
        violations: `[n]` h, above 0 where the constraint is violated; for a cost value, the cost.
        terminals: `[n]` bool, whether nothing follows.
    """

    observations: Any
    actions: Any
    next_observations: Any
    rewards: Any
    violations: Any
    terminals: Any


def schema(
    observation_dim: int, action_dim: int, dense_violation: bool, facts: Mapping[str, Any]
) -> pa.Schema:
    """The Parquet file's schema; `facts` (JSON) stand in its metadata."""
    dims = {
        "observation": observation_dim,
        "action": action_dim,
        "next_observation": observation_dim,
    }
    fields = [pa.field(name, SCALARS[name], nullable=False) for name in ("episode", "step")]
    fields += [
        pa.field(name, pa.list_(pa.float32(), dim), nullable=False) for name, dim in dims.items()
    ]
    fields += [
        pa.field(n, t, nullable=False) for n, t in SCALARS.items() if n not in ("episode", "step")
    ]
    if dense_violation:
        fields.append(pa.field(DENSE_VIOLATION, pa.float32(), nullable=False))
    return pa.schema(fields, metadata={METADATA_KEY: json.dumps(facts, sort_keys=True)})


def write_parquet(
    path: str | Path,
    file_schema: pa.Schema,
    chunks: Iterable[Mapping[str, np.ndarray]],
    late_facts: Callable[[], Mapping[str, Any]] | None = None,
) -> None:
    """Write chunks of columns as row groups; the file appears only when all are written.

    Args:
        path: the file to make.
        file_schema: from `schema`.
        chunks: each maps every column to an array of the chunk's rows, `[rows]` or `[rows, dim]`.
        late_facts: called after the last chunk; what it returns (JSON) joins the facts.
    """
    with (
        whole_file(path) as partial,
        # Hardly a float occurs twice: without dictionaries the file is smaller and written sooner.
        pq.ParquetWriter(partial, file_schema, compression="zstd", use_dictionary=False) as out,
    ):
        for chunk in chunks:
            columns = []
            for field in file_schema:
                values = np.ascontiguousarray(chunk[field.name])
                if pa.types.is_fixed_size_list(field.type):
                    flat = pa.array(values.reshape(-1), field.type.value_type)
                    columns.append(pa.FixedSizeListArray.from_arrays(flat, field.type.list_size))
                else:
                    columns.append(pa.array(values, field.type))
            out.write_table(pa.Table.from_arrays(columns, schema=file_schema))
        if late_facts is not None:
            text = json.dumps(dict(late_facts()), sort_keys=True)
            out.add_key_value_metadata({LATE_METADATA_KEY: text})


@contextmanager
def _whole_parquet(path: str | Path) -> Iterator[None]:
    """What Arrow raises on reading `path`, as an `InputError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; `dvc repro` makes it") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: is not a whole Parquet file ({error})") from error


def _footer(path: str | Path, columns: Iterable[str]) -> pq.FileMetaData:
    with _whole_parquet(path):
        metadata = pq.read_metadata(path)
    there = metadata.schema.to_arrow_schema().names
    if missing := [name for name in columns if name not in there]:
        raise InputError(f"{path}: column `{missing[0]}` is missing; there are: {', '.join(there)}")
    return metadata


def read_table(path: str | Path, columns: Sequence[str]) -> pa.Table:
    """Columns of a Parquet file of this project; all of them if none is named.

    Raises:
        InputError: the file is not there, is no Parquet, was cut short, or lacks a column.
    """
    _footer(path, columns)
    with _whole_parquet(path):
        return pq.read_table(path, columns=list(columns) or None, memory_map=True)


def facts_of(path: str | Path) -> dict[str, Any]:
    """The task's facts in a transition file's metadata, and `changes`: what conversion changed."""
    metadata = pq.read_metadata(path).metadata or {}
    facts = json.loads(metadata.get(METADATA_KEY, b"{}"))
    if LATE_METADATA_KEY in metadata:
        facts["changes"] = json.loads(metadata[LATE_METADATA_KEY])
    return facts


def matrix(table: pa.Table, name: str, path: str | Path, first_row: int = 0) -> np.ndarray:
    """A column of equally long lists as `[rows, dim]` float32, finite.

    `first_row` is the first one's number in the file, for messages.

    Raises:
        InputError: rows of other lengths, empty entries, or NaN or infinite numbers; names the row.
    """
    if table.num_rows == 0:
        raise InputError(f"{path}: holds no transition")
    column = table[name].combine_chunks()
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        lengths = np.diff(column.offsets.to_numpy())
        other = np.flatnonzero(lengths != lengths[0])
        if other.size:
            row = other[0]
            raise InputError(
                f"{path}: row {first_row + row} of `{name}` has {lengths[row]} entries, row "
                f"{first_row} has {lengths[0]}"
            )
        dim = int(lengths[0])
    elif pa.types.is_fixed_size_list(column.type):
        dim = column.type.list_size
    else:
        raise InputError(f"{path}: column `{name}` must hold lists of numbers, not {column.type}")
    if column.null_count:
        raise InputError(f"{path}: column `{name}` has {column.null_count} empty rows")
    if not pa.types.is_floating(column.type.value_type) or column.flatten().null_count:
        raise InputError(f"{path}: column `{name}` must hold lists of numbers, not {column.type}")
    if dim == 0:
        raise InputError(f"{path}: the rows of `{name}` have no entries")
    values = as_float32(column.flatten().to_numpy(zero_copy_only=False)).reshape(-1, dim)
    _refuse_not_finite(values, name, path, first_row)
    return values


def vector(table: pa.Table, name: str, path: str | Path) -> np.ndarray:
    """A column of numbers or booleans as `[rows]`, finite.

    Raises:
        InputError: empty entries, or NaN or infinite numbers; names the row.
    """
    column = table[name].combine_chunks()
    if column.null_count:
        raise InputError(f"{path}: column `{name}` has {column.null_count} empty rows")
    kind = column.type
    if not (pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise InputError(f"{path}: column `{name}` must hold one number a row, not {column.type}")
    values = column.to_numpy(zero_copy_only=False)
    if pa.types.is_floating(kind):
        values = as_float32(values)
    _refuse_not_finite(values, name, path)
    return values


def as_float32(values: np.ndarray) -> np.ndarray:
    """Numbers as float32; what that cannot hold becomes infinite, for the caller to refuse."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def _refuse_not_finite(values: np.ndarray, name: str, path: str | Path, first_row: int = 0) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row = first_row + int(np.argwhere(~finite)[0][0])
        raise InputError(f"{path}: row {row} of `{name}` is NaN or infinite")


def check_episodes(episode: np.ndarray, step: np.ndarray, path: str | Path) -> None:
    """Episodes are numbered 0, 1, ... in order and each one's steps 0, 1, ..., or an `InputError`.

    Args:
        episode: `[rows]` the episode of each row.
        step: `[rows]` its step within the episode.
        path: the file, for the message.
    """
    if episode.size == 0:
        raise InputError(f"{path}: holds no transition")
    starts = np.flatnonzero(np.diff(episode, prepend=episode[0] - 1))
    numbers = episode[starts]
    if not np.array_equal(numbers, np.arange(numbers.size)):
        wrong = int(np.flatnonzero(numbers != np.arange(numbers.size))[0])
        raise InputError(
            f"{path}: row {starts[wrong]} belongs to episode {numbers[wrong]} where episode "
            f"{wrong} is expected: an episode is empty or out of order"
        )
    expected = np.arange(episode.size) - np.repeat(starts, np.diff(starts, append=episode.size))
    if not np.array_equal(step, expected):
        row = int(np.flatnonzero(step != expected)[0])
        raise InputError(
            f"{path}: row {row} has step {step[row]} where {expected[row]} is expected"
        )


def _mapped_matrix(path: str | Path, name: str, folder: Path) -> np.ndarray:
    """What `matrix` reads of a file, written piece by piece to `folder` and memory-mapped there.

    Raises:
        InputError: as `matrix`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mapped, first = None, 0
    with _whole_parquet(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=[name]):
            values = matrix(pa.Table.from_batches([batch]), name, path, first)
            if mapped is None:
                shape = file.metadata.num_rows, values.shape[1]
                mapped = np.lib.format.open_memmap(
                    folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=shape
                )
            if values.shape[1] != mapped.shape[1]:
                raise InputError(
                    f"{path}: row {first} of `{name}` has {values.shape[1]} entries, row 0 has "
                    f"{mapped.shape[1]}"
                )
            mapped[first : first + len(values)] = values
            first += len(values)
    if mapped is None:
        raise InputError(f"{path}: holds no transition")
    mapped.flush()
    return mapped


def _matrix_bytes(path: str | Path) -> int:
    """Bytes of a file's matrices, from its footer."""
    metadata = _footer(path, VECTORS)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    columns = [group.column(i) for group in groups for i in range(group.num_columns)]
    return sum(
        column.total_uncompressed_size
        for column in columns
        if column.path_in_schema.split(".")[0] in VECTORS
    )


def load(
    path: str | Path,
    violations_path: str | Path | None,
    timeouts_are_terminal: bool,
    mapped: Path | None = None,
) -> Transitions:
    """Read a dataset for training, checked row by row.

    Args:
        path: data/transitions/TASK.parquet.
        violations_path: the labels' Parquet file, or None where h is not needed (zeros then).
        timeouts_are_terminal: whether a timeout counts as an end.
        mapped: a folder where observations and actions are memory-mapped if they are too large for
            the host's memory; the caller removes it. None always reads them into memory.

    Returns:
        The transitions as NumPy arrays, float32 and bool.

    Raises:
        InputError: a file or column is missing, rows have other lengths, hold NaN, or do not match.
    """
    if mapped is not None and _matrix_bytes(path) * COPIES > host_free_bytes():
        table = read_table(path, list(SCALARS))
        matrices = [_mapped_matrix(path, name, mapped) for name in VECTORS]
    else:
        table = read_table(path, (*VECTORS, *SCALARS))
        matrices = [matrix(table, name, path) for name in VECTORS]
    observations, actions, next_observations = matrices
    if observations.shape[1] != next_observations.shape[1]:
        raise InputError(
            f"{path}: `observation` has {observations.shape[1]} entries and `next_observation` "
            f"{next_observations.shape[1]}"
        )
    check_episodes(vector(table, "episode", path), vector(table, "step", path), path)
    terminals = vector(table, "terminal", path).astype(bool)
    if timeouts_are_terminal:
        terminals = terminals | vector(table, "timeout", path).astype(bool)
    rewards = vector(table, "reward", path).astype(np.float32)
    violations = np.zeros_like(rewards)
    if violations_path is not None:
        labels = read_table(violations_path, ("violation",))
        violations = vector(labels, "violation", violations_path).astype(np.float32)
        if violations.shape != rewards.shape:
            raise InputError(
                f"{violations_path}: has {violations.size} rows and {path} has {rewards.size}"
            )
    return Transitions(observations, actions, next_observations, rewards, violations, terminals)


def episode_sums(episode: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum of `values` `[rows]` over each episode, `[episodes]`, in float64."""
    return np.bincount(episode, weights=values.astype(np.float64))
