"""The Parquet files of this project: written, and read column by column with every row checked."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fisor.errors import InputError
from fisor.outputs import atomic_file

VECTORS = ("observation", "action", "next_observation")
SCALARS = {
    "episode": pa.int32(),
    "step": pa.int32(),
    "reward": pa.float32(),
    "cost": pa.float32(),
    "terminal": pa.bool_(),
    "timeout": pa.bool_(),
}
DENSE_VIOLATION = "violation"  # an additional column, if the dataset has h itself
METADATA_KEY = b"fisor"
LATE_METADATA_KEY = b"fisor_changes"  # what is known only after all rows are written


def schema(
    observation_dim: int, action_dim: int, dense_violation: bool, facts: Mapping[str, Any]
) -> pa.Schema:
    """The Parquet file's schema, with `facts` (JSON) in its metadata."""
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
        late_facts: called after the last chunk; its result (JSON) is added to the facts.
    """
    with (
        atomic_file(path) as partial,
        # Floats rarely repeat: without dictionaries the file is smaller and written faster.
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
def whole_parquet(path: str | Path) -> Iterator[None]:
    """Turn Arrow's errors on reading `path` into an `InputError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; `dvc repro` makes it") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: is not a whole Parquet file ({error})") from error


def footer(path: str | Path, columns: Iterable[str]) -> pq.FileMetaData:
    """A file's metadata, after checking that it has these columns.

    Raises:
        InputError: the file is not there, is no Parquet, was cut short, or lacks a column.
    """
    with whole_parquet(path):
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
    footer(path, columns)
    with whole_parquet(path):
        return pq.read_table(path, columns=list(columns) or None, memory_map=True)


def facts_of(path: str | Path) -> dict[str, Any]:
    """The task's properties in a transition file's metadata, and `changes` of the conversion."""
    metadata = pq.read_metadata(path).metadata or {}
    facts = json.loads(metadata.get(METADATA_KEY, b"{}"))
    if LATE_METADATA_KEY in metadata:
        facts["changes"] = json.loads(metadata[LATE_METADATA_KEY])
    return facts


def matrix(table: pa.Table, name: str, path: str | Path, first_row: int = 0) -> np.ndarray:
    """A column of equally long lists as `[rows, dim]` float32, finite.

    `first_row` is the number of the first row in the file, for messages.

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
    """Numbers as float32; values out of its range become infinite, for the caller to reject."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def _refuse_not_finite(values: np.ndarray, name: str, path: str | Path, first_row: int = 0) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row = first_row + int(np.argwhere(~finite)[0][0])
        raise InputError(f"{path}: row {row} of `{name}` is NaN or infinite")
