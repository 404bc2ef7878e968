"""A dataset's Parquet file as arrays for training, memory-mapped if they are too large."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fisor.data.memory import host_free_bytes
from fisor.data.parquet import (
    SCALARS,
    VECTORS,
    footer,
    matrix,
    read_table,
    vector,
    whole_parquet,
)
from fisor.data.transitions import Transitions
from fisor.errors import InputError

COPIES = 3  # of the matrices while they are read: Arrow's, NumPy's, the device's
ROWS_AT_ONCE = 65536  # on the way to a memory-mapped file


def check_episodes(episode: np.ndarray, step: np.ndarray, path: str | Path) -> None:
    """Check that episodes are numbered 0, 1, ... in order, and the steps of each one 0, 1, ....

    Args:
        episode: `[rows]` the episode of each row.
        step: `[rows]` its step within the episode.
        path: the file, for the message.

    Raises:
        InputError: they are not; names the first row that is out of order.
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
    """Like `matrix`, but written in chunks to a file in `folder`, which is memory-mapped.

    Raises:
        InputError: as `matrix`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mapped, first = None, 0
    with whole_parquet(path), pq.ParquetFile(path) as file:
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
    metadata = footer(path, VECTORS)
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
        violations_path: the labels' Parquet file; without it, `violations` is None.
        timeouts_are_terminal: whether a timeout counts as an end.
        mapped: a folder for memory-mapped observations and actions, used if they are too large for
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
    rewards, costs = (vector(table, name, path).astype(np.float32) for name in ("reward", "cost"))
    violations = None
    if violations_path is not None:
        labels = read_table(violations_path, ("violation",))
        violations = vector(labels, "violation", violations_path).astype(np.float32)
        if violations.shape != rewards.shape:
            raise InputError(
                f"{violations_path}: has {violations.size} rows and {path} has {rewards.size}"
            )
    return Transitions(
        observations, actions, next_observations, rewards, costs, violations, terminals
    )
