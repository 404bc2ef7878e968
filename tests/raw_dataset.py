"""A small dataset in DSRL's layout, to be converted with changes, and what became of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from fisor.data import conversion, parquet
from fisor.data.conversion import Changes
from fisor.errors import InputError

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


def chunks_of(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "CHUNK_BYTES", rows * ROW_BYTES)


def refused(tmp_path: Path, run: Callable[..., Path], *parts: str, **changes: object) -> None:
    """The conversion fails with the file's name and `parts`, and leaves no file."""
    with pytest.raises(InputError) as caught:
        run(**changes)
    for part in (str(tmp_path / "raw.hdf5"), *parts):
        assert part in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "raw.hdf5"]


def changes_of(path: Path) -> Changes:
    return Changes(**parquet.facts_of(path)["changes"])


def column(path: Path, name: str) -> list:
    return pq.read_table(path)[name].to_pylist()
