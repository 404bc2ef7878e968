"""A small file of transitions and its labels, written to a folder with changes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fisor.data import parquet

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


def write(folder: Path, **changes: np.ndarray) -> Path:
    """Write the file with the given columns in place of ours."""
    path = folder / "Toy.parquet"
    schema = parquet.schema(3, 2, dense_violation=True, facts=FACTS)
    parquet.write_parquet(path, schema, [{**columns(), **changes}])
    return path


def rewrite(folder: Path, **changes: pa.Array | None) -> Path:
    """Write the file with the given Arrow columns in place of ours; None leaves one out."""
    path = write(folder)
    table = pq.read_table(path)
    for name, values in changes.items():
        index = table.column_names.index(name)
        table = table.remove_column(index)
        if values is not None:
            table = table.add_column(index, name, values)
    path.unlink()
    pq.write_table(table, path)
    return path


def write_labels(folder: Path, h: np.ndarray) -> Path:
    """Write a file of labels."""
    path = folder / "violations.parquet"
    schema = pa.schema([pa.field("violation", pa.float32(), nullable=False)])
    parquet.write_parquet(path, schema, [{"violation": h}])
    return path
