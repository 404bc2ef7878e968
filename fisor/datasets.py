"""Datasets in DSRL's HDF5 layout, and their way into Parquet."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from fisor import transitions
from fisor.errors import InputError
from fisor.outputs import whole_file
from fisor.tasks import Task

# DSRL's fields, and the columns that they become.
COLUMNS = {
    "observations": "observation",
    "actions": "action",
    "next_observations": "next_observation",
    "rewards": "reward",
    "costs": "cost",
    "terminals": "terminal",
    "timeouts": "timeout",
}
DENSE_VIOLATIONS = "violations"  # h itself, a further field of ours
CHUNK_BYTES = 16 << 20  # what is in memory at a time


class CollectionSettings(NamedTuple):
    """A task's `acquire` entry, checked.

    Attributes:
        transitions: how many to collect.
        seed: of everything random.
    """

    transitions: int
    seed: int


def collection_settings(task: Task) -> CollectionSettings:
    """Read `acquire` of a task that is collected from a simulator.

    Raises:
        InputError: a key is unknown or missing, or a value is out of range.
    """
    settings, where = dict(task.acquire), f"tasks.yaml: {task.name}.acquire"
    if settings.pop("source", None) != "collect":
        raise InputError(f"{where}.source: must be `collect`")
    if settings.keys() != set(CollectionSettings._fields):
        raise InputError(f"{where}: must hold source, {', '.join(CollectionSettings._fields)}")
    for name, least in (("transitions", 2), ("seed", 0)):
        value = settings[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{where}.{name}: must be a whole number >= {least}, not {value!r}")
    return CollectionSettings(**settings)


def write_hdf5(path: str | Path, fields: Mapping[str, np.ndarray]) -> None:
    """Write arrays of n rows each as one HDF5 file; the same arrays give the same bytes."""
    with whole_file(path) as partial, h5py.File(partial, "w", libver="latest") as file:
        for name, values in fields.items():
            file.create_dataset(name, data=values, compression="gzip", shuffle=True)


def convert(raw_path: str | Path, parquet_path: str | Path, task: Task) -> None:
    """Turn an HDF5 file of DSRL's layout into Parquet, chunk by chunk, in bounded memory.

    Args:
        raw_path: the HDF5 file.
        parquet_path: the Parquet file to make.
        task: whose facts go into the file's metadata.

    Raises:
        InputError: a field is missing, of another shape, or holds NaN; names the field and row.
    """
    try:
        file = h5py.File(raw_path, "r")
    except FileNotFoundError as error:
        raise InputError(f"{raw_path}: there is no such file; `dvc repro` makes it") from error
    except OSError as error:
        raise InputError(f"{raw_path}: is not a whole HDF5 file ({error})") from error
    with file:
        wanted = [*COLUMNS, *([DENSE_VIOLATIONS] if task.dense_violation else [])]
        if missing := [name for name in wanted if name not in file]:
            there = ", ".join(sorted(file))
            raise InputError(f"{raw_path}: field `{missing[0]}` is missing; there are: {there}")
        _refuse_odd_fields(file, wanted, raw_path)
        rows, observation_dim = file["observations"].shape
        facts: dict[str, Any] = {
            "task": task.name,
            "suite": task.suite,
            "environment": task.environment,
            "horizon_steps": task.horizon_steps,
            "cost_limit": task.cost_limit,
            "reference_returns": list(task.reference_returns),
            "source": task.acquire["source"],
            "transitions": rows,
        }
        action_dim = file["actions"].shape[1]
        schema = transitions.schema(observation_dim, action_dim, task.dense_violation, facts)
        transitions.write_parquet(parquet_path, schema, _chunks(file, wanted, raw_path))


def _refuse_odd_fields(file: h5py.File, wanted: list[str], path: str | Path) -> None:
    """Every field holds numbers, a row a transition: vectors `[rows, dim]`, the rest `[rows]`."""
    for name in wanted:
        field = file[name]
        if not isinstance(field, h5py.Dataset) or field.dtype.kind not in "biuf":
            raise InputError(f"{path}: `{name}` must hold an array of numbers")
    vectors = ("observations", "actions", "next_observations")
    rows = file["rewards"].shape[0] if file["rewards"].shape else 1
    if rows == 0:
        raise InputError(f"{path}: holds no transition")
    for name in wanted:
        shape = file[name].shape
        if shape[:1] != (rows,):
            raise InputError(f"{path}: `{name}` is {shape} where `rewards` has {rows} rows")
        if name not in vectors and len(shape) != 1:
            raise InputError(f"{path}: `{name}` is {shape} where one number a row is expected")
    dims = [file[name].shape[1:] for name in vectors]
    if any(len(dim) != 1 or dim[0] == 0 for dim in dims) or dims[0] != dims[2]:
        raise InputError(f"{path}: observations, actions, next_observations are {dims} a row")


def _chunks(
    file: h5py.File, wanted: list[str], path: str | Path
) -> Iterator[dict[str, np.ndarray]]:
    rows = file["rewards"].shape[0]
    row_bytes = sum(file[name].dtype.itemsize * file[name].size // rows for name in wanted)
    chunk_rows = max(1, CHUNK_BYTES // row_bytes)
    episode, step = 0, 0
    for first in range(0, rows, chunk_rows):
        chunk: dict[str, np.ndarray] = {}
        for name in wanted:
            values = file[name][first : first + chunk_rows]
            boolean = name in ("terminals", "timeouts")
            with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
                values = values.astype(bool if boolean else np.float32)
            if not np.isfinite(values).all():
                row = first + int(np.argwhere(~np.isfinite(values))[0][0])
                raise InputError(f"{path}: row {row} of `{name}` is NaN or infinite")
            if name == "costs" and (values < 0).any():
                row = first + int(np.argmax(values < 0))
                raise InputError(f"{path}: row {row} of `costs` is negative")
            chunk[COLUMNS.get(name, transitions.DENSE_VIOLATION)] = values
        ends = chunk["terminal"] | chunk["timeout"]
        # An episode's rows are counted across chunks.
        episodes_before = np.concatenate([[0], np.cumsum(ends)[:-1]])
        begins = np.flatnonzero(np.concatenate([[False], ends[:-1]]))
        steps = np.arange(ends.size) + step
        last_begin = np.zeros(ends.size, np.int64)
        last_begin[begins] = begins + step
        chunk["episode"] = (episode + episodes_before).astype(np.int32)
        chunk["step"] = (steps - np.maximum.accumulate(last_begin)).astype(np.int32)
        episode = int(chunk["episode"][-1]) + int(ends[-1])
        step = 0 if ends[-1] else int(chunk["step"][-1]) + 1
        yield chunk
