"""From DSRL's HDF5 layout to Parquet: differences between files are removed, and reported."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fisor.config.data import ConvertStage
from fisor.data import hdf5, parquet
from fisor.errors import InputError

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
FLAGS = ("terminals", "timeouts")
CHUNK_BYTES = 16 << 20  # read at a time; about five times as much is in memory
# Actions between 1 and this are clipped, as by the simulators: some of DSRL's files have unclipped
# samples of a Gaussian policy. Larger actions are in other units.
LARGEST_ACTION = 5.0
NAMED_ROWS = 5  # unusable rows that the message names

Choose = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (episodes, rewards) of rows -> episodes


@dataclasses.dataclass
class Changes:
    """Counts of what a conversion changed; all are 0 for a file that needs no change.

    Attributes:
        episodes_left_out: episodes that were not chosen.
        unusable_rows: rows left out: NaN, infinite, action beyond `LARGEST_ACTION`, negative cost.
        rebuilt_next_observations: next observations taken from the next row, if the file has none.
        rows_without_successor: rows left out: the last of an episode that ends with a timeout or
            the end of the file, whose next observation is unknown without `next_observations`.
        cut_episodes: 1 if the file ends within an episode, which then ends with a timeout.
        clipped_actions: rows with actions beyond [-1, 1], up to `LARGEST_ACTION`.
    """

    episodes_left_out: int = 0
    unusable_rows: int = 0
    rebuilt_next_observations: int = 0
    rows_without_successor: int = 0
    cut_episodes: int = 0
    clipped_actions: int = 0

    def sentences(self) -> list[str]:
        """What was changed, as sentences; empty if nothing was."""
        words = {
            "episodes_left_out": "episodes left out by `data_share` or `expert_return`",
            "unusable_rows": "unusable rows left out (NaN, infinite, action far out of bounds, "
            "or negative cost)",
            "rebuilt_next_observations": "next observations taken from the next row of the "
            "episode, as the file has none (a terminal row, after which nothing counts, repeats "
            "its own)",
            "rows_without_successor": "rows left out, the last of episodes that did not "
            "terminate: no next observation is known",
            "cut_episodes": "episode cut by the end of the file, taken as timed out",
            "clipped_actions": f"rows with actions beyond [-1, 1], but not {LARGEST_ACTION:g}, "
            "clipped",
        }
        counts = dataclasses.asdict(self)
        return [f"{counts[name]:,} {text}" for name, text in words.items() if counts[name]]


def convert(
    raw_path: str | Path,
    parquet_path: str | Path,
    config: ConvertStage,
    *,
    choose: Choose | None = None,
    opened: Callable[[str | Path], AbstractContextManager[h5py.File]] = hdf5.open_hdf5,
) -> Changes:
    """Turn an HDF5 file of DSRL's layout into Parquet, chunk by chunk, in bounded memory.

    Scalars may be stored as `[n]` or `[n, 1]`, of any real type; flags are 0 or 1. Missing
    `next_observations` are rebuilt within episodes. An episode whose last rows are left out ends
    with a timeout at its last remaining row: each row has its own next observation, so leaving rows
    out makes no false transition.

    Args:
        raw_path: the HDF5 file.
        parquet_path: the Parquet file to make.
        config: properties of the task, which are written to the file's metadata, and whether to
            leave out rows that cannot be used instead of rejecting the file.
        choose: (episode, reward) of each raw row -> `[episodes]` bool, which episodes to keep; None
            keeps all.
        opened: opens `raw_path`.

    Returns:
        What was changed; also written to the file's metadata.

    Raises:
        InputError: a field is missing or of another shape, or rows cannot be used (and are not to
            be left out); names the field and the rows. Also raised by `choose`.
    """
    with opened(raw_path) as file:
        wanted = [*COLUMNS, *([hdf5.DENSE_VIOLATIONS] if config.dense_violation else [])]
        if "next_observations" not in file:
            wanted.remove("next_observations")
        if missing := [name for name in wanted if name not in file]:
            there = ", ".join(sorted(file))
            raise InputError(f"{raw_path}: field `{missing[0]}` is missing; there are: {there}")
        _refuse_odd_fields(file, wanted, raw_path)
        facts: dict[str, Any] = {
            "task": config.name,
            "suite": config.suite,
            "environment": config.environment,
            "horizon_steps": config.horizon_steps,
            "cost_limit": config.cost_limit,
            "reference_returns": list(config.reference_returns),
            "source": config.acquire.source,
        }
        observation_dim, action_dim = file["observations"].shape[1], file["actions"].shape[1]
        schema = parquet.schema(observation_dim, action_dim, config.dense_violation, facts)
        reader = _Reader(file, wanted, raw_path, config.drop_bad_rows)
        chosen = reader.chosen_episodes(choose) if choose else None
        chunks = _with_episodes(reader.chunks(chosen))
        parquet.write_parquet(parquet_path, schema, chunks, lambda: vars(reader.changes))
    return reader.changes


def _refuse_odd_fields(file: h5py.File, wanted: list[str], path: str | Path) -> None:
    """Check that fields hold numbers, one row per transition: `[n, dim]`, or `[n]` or `[n, 1]`."""
    for name in wanted:
        field = file[name]
        if not isinstance(field, h5py.Dataset) or field.dtype.kind not in "biuf":
            raise InputError(f"{path}: `{name}` must hold an array of numbers")
    vectors = [n for n in ("observations", "actions", "next_observations") if n in wanted]
    rows = file["rewards"].shape[0] if file["rewards"].shape else 1
    if rows == 0:
        raise InputError(f"{path}: holds no transition")
    for name in wanted:
        shape = file[name].shape
        if shape[:1] != (rows,):
            raise InputError(f"{path}: `{name}` is {shape} where `rewards` has {rows} rows")
        if name not in vectors and shape[1:] not in ((), (1,)):
            raise InputError(f"{path}: `{name}` is {shape} where one number a row is expected")
    dims = [file[name].shape[1:] for name in vectors]
    unlike = "next_observations" in vectors and dims[0] != dims[2]
    if unlike or any(len(dim) != 1 or dim[0] == 0 for dim in dims):
        raise InputError(f"{path}: {', '.join(vectors)} are {dims} a row")


class _Reader:
    """Reads chunks of a file's usable rows, and counts what it changes."""

    def __init__(
        self, file: h5py.File, wanted: list[str], path: str | Path, drop_bad_rows: bool
    ) -> None:
        self.file, self.wanted, self.path, self.drop_bad_rows = file, wanted, path, drop_bad_rows
        self.changes = Changes()
        self.rebuild = "next_observations" not in wanted
        self.rows: int = file["rewards"].shape[0]
        self.named: list[str] = []  # the first unusable rows

    def chosen_episodes(self, choose: Choose) -> np.ndarray:
        """`[raw episodes]` bool, which `choose` keeps; counts the others."""
        ends = np.any([self.file[name][:].reshape(-1) != 0 for name in FLAGS], axis=0)
        rewards = parquet.as_float32(self.file["rewards"][:].reshape(-1))
        chosen = choose(np.cumsum(ends) - ends, rewards)
        self.changes.episodes_left_out = int((~chosen).sum())
        return chosen

    def chunks(self, chosen: np.ndarray | None = None) -> Iterator[dict[str, np.ndarray]]:
        """The columns of usable rows, and the `raw_episode` that each belongs to.

        Args:
            chosen: `[raw episodes]` bool, which to keep; None keeps all.

        Raises:
            InputError: at the end, if rows cannot be used.
        """
        total_bytes = sum(self.file[n].dtype.itemsize * self.file[n].size for n in self.wanted)
        chunk_rows = max(1, CHUNK_BYTES * self.rows // total_bytes)
        episode, empty = 0, True
        for first in range(0, self.rows, chunk_rows):
            chunk = self._read(first, min(first + chunk_rows, self.rows))
            ends = chunk["terminal"] | chunk["timeout"]
            chunk["raw_episode"] = episode + np.cumsum(ends) - ends
            episode += int(ends.sum())
            usable = self._usable(chunk, first)
            if chosen is not None:
                usable &= chosen[chunk["raw_episode"]]
            if self.rebuild:
                usable &= self._rebuilt(chunk, usable)
            if not usable.all():
                chunk = {name: values[usable] for name, values in chunk.items()}
            if usable.any():
                empty = False
                yield chunk
        bad = self.changes.unusable_rows
        if bad and not self.drop_bad_rows:
            more = f" and {bad - len(self.named):,} more" if bad > len(self.named) else ""
            raise InputError(
                f"{self.path}: {bad:,} of {self.rows:,} rows cannot be used: "
                f"{'; '.join(self.named)}{more}. Mend the file, or have these rows left out with "
                "`drop_bad_rows: true` in params.yaml"
            )
        if empty:
            raise InputError(f"{self.path}: holds no usable transition")

    def _read(self, first: int, last: int) -> dict[str, np.ndarray]:
        """Rows `first` to `last` as columns of float32 and bool."""
        chunk = {}
        for name in self.wanted:
            values = self.file[name][first:last]
            if name not in ("observations", "actions", "next_observations"):
                values = values.reshape(-1)
            if name in FLAGS:
                odd = np.flatnonzero((values != 0) & (values != 1))
                if odd.size:
                    raise InputError(
                        f"{self.path}: row {first + odd[0]} of `{name}` is {values[odd[0]]}, "
                        "neither 0 nor 1"
                    )
                values = values.astype(bool)
            else:
                values = parquet.as_float32(values)
            chunk[COLUMNS.get(name, parquet.DENSE_VIOLATION)] = values
        if last == self.rows and not (chunk["terminal"][-1] or chunk["timeout"][-1]):
            chunk["timeout"][-1] = True
            self.changes.cut_episodes = 1
        if self.rebuild:
            following = self.file["observations"][first + 1 : last + 1]
            own = chunk["observation"]
            # No row follows the file's last one; it ends an episode, so this value is not used.
            following = parquet.as_float32(np.concatenate([following, own[len(following) :]]))
            ends = (chunk["terminal"] | chunk["timeout"])[:, None]
            chunk["next_observation"] = np.where(ends, own, following)
        return chunk

    def _usable(self, chunk: dict[str, np.ndarray], first: int) -> np.ndarray:
        """`[rows]` bool; unusable rows are counted, and the first ones named."""
        reasons: dict[str, np.ndarray] = {}
        for name, column in [*COLUMNS.items(), (hdf5.DENSE_VIOLATIONS, "violation")]:
            if column in chunk and name not in FLAGS:
                finite = np.isfinite(chunk[column])
                wrong = ~(finite if finite.ndim == 1 else finite.all(axis=1))
                reasons[f"`{name}` is NaN or infinite"] = wrong
        largest = np.abs(chunk["action"]).max(axis=1)
        far = np.isfinite(largest) & (largest > LARGEST_ACTION)
        reasons[f"`actions` is beyond [-{LARGEST_ACTION:g}, {LARGEST_ACTION:g}]"] = far
        reasons["`costs` is negative"] = np.isfinite(chunk["cost"]) & (chunk["cost"] < 0)
        unusable = np.logical_or.reduce(list(reasons.values()))
        for row in np.flatnonzero(unusable)[: NAMED_ROWS - len(self.named)]:
            why = " and ".join(reason for reason, wrong in reasons.items() if wrong[row])
            self.named.append(f"row {first + row} ({why})")
        self.changes.unusable_rows += int(unusable.sum())
        self.changes.clipped_actions += int((~unusable & (largest > 1)).sum())
        np.clip(chunk["action"], -1, 1, out=chunk["action"])
        return ~unusable

    def _rebuilt(self, chunk: dict[str, np.ndarray], usable: np.ndarray) -> np.ndarray:
        """`[rows]` bool, whether the rebuilt next observation is correct or does not matter."""
        unknown = chunk["timeout"] & ~chunk["terminal"]
        self.changes.rows_without_successor += int((usable & unknown).sum())
        self.changes.rebuilt_next_observations += int((usable & ~unknown).sum())
        return ~unknown


def _with_episodes(chunks: Iterator[dict[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """Number the episodes that have rows, and their steps; the last row of each ends it."""
    episode, step = 0, 0  # of the next row
    chunk = next(chunks, None)
    while chunk is not None:
        # One chunk ahead: whether the last row ends its episode depends on what follows it.
        following = next(chunks, None)
        raw = chunk.pop("raw_episode")
        after = -1 if following is None else following["raw_episode"][0]
        last = np.diff(raw, append=after) != 0
        chunk["timeout"] |= last & ~chunk["terminal"]
        rows = np.arange(raw.size)
        begins = np.concatenate([[True], last[:-1]])
        since = rows - np.maximum.accumulate(np.where(begins, rows, 0))
        since[: int(np.argmax(last)) + 1 if last.any() else raw.size] += step
        chunk["episode"] = (episode + np.cumsum(last) - last).astype(np.int32)
        chunk["step"] = since.astype(np.int32)
        episode = int(chunk["episode"][-1]) + int(last[-1])
        step = 0 if last[-1] else int(since[-1]) + 1
        yield chunk
        chunk = following
