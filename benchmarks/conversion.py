"""Conversion of a large dataset against copying its arrays with h5py: seconds and memory.

Run from the project's root: `python -m benchmarks.conversion --rows 4000000`. It needs the rows'
size in disk space three times over: 88 numbers of an observation are 3 GB for 4 million rows.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

OBSERVATION_DIM, ACTION_DIM, EPISODE_STEPS = 88, 2, 1000  # CarButton's sizes, DSRL's widest rows
BLOCK_ROWS = 100_000

# Each runs in a process of its own, so that its peak memory is its own.
COPY = """
import sys, h5py
raw, out, block = sys.argv[1], sys.argv[2], int(sys.argv[3])
with h5py.File(raw) as source, h5py.File(out, "w") as copy:
    for name, field in source.items():
        made = copy.create_dataset(name, field.shape, field.dtype, compression="gzip")
        for first in range(0, field.shape[0], block):
            made[first : first + block] = field[first : first + block]
"""
CONVERT = """
import sys
from fisor.config.data import ConvertStage
from fisor.config.layers import load
from fisor.data.conversion import convert
convert(sys.argv[1], sys.argv[2], load(ConvertStage, "CarButton1"))
"""
PEAK = "\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def write_dataset(path: Path, rows: int) -> None:
    """A random walk in DSRL's layout, gzip as its files are."""
    draw = np.random.default_rng(0)
    widths = {"observations": OBSERVATION_DIM, "next_observations": OBSERVATION_DIM}
    widths |= {"actions": ACTION_DIM, "rewards": 0, "costs": 0, "terminals": 0, "timeouts": 0}
    with h5py.File(path, "w") as file:
        made = {
            name: file.create_dataset(
                name, (rows, width) if width else (rows,), "float32", compression="gzip"
            )
            for name, width in widths.items()
        }
        for first in range(0, rows, BLOCK_ROWS):
            size = min(BLOCK_ROWS, rows - first)
            steps = draw.normal(size=(size + 1, OBSERVATION_DIM)).astype(np.float32)
            walk = np.round(np.cumsum(0.01 * steps, axis=0), 4)
            made["observations"][first : first + size] = walk[:-1]
            made["next_observations"][first : first + size] = walk[1:]
            made["actions"][first : first + size] = draw.uniform(-1, 1, (size, ACTION_DIM))
            made["rewards"][first : first + size] = draw.normal(size=size)
            made["costs"][first : first + size] = draw.random(size) < 0.1
            last = np.arange(first + 1, first + size + 1) % EPISODE_STEPS == 0
            made["timeouts"][first : first + size] = last


def timed(program: str, *arguments: str) -> tuple[float, float]:
    """Seconds and peak memory in MB of a Python program of its own."""
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", program + PEAK, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return time.perf_counter() - started, int(result.stdout) / 1024


def main() -> None:
    """Print both times, their ratio and the conversion's peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        raw, copy, parquet = (Path(folder) / name for name in ("raw.hdf5", "copy.hdf5", "parquet"))
        write_dataset(raw, rows)
        copied, _ = timed(COPY, str(raw), str(copy), str(BLOCK_ROWS))
        copy.unlink()
        converted, peak = timed(CONVERT, str(raw), str(parquet))
        print(f"{platform.machine()}, {rows:,} rows, {raw.stat().st_size / 1e6:,.0f} MB of HDF5")
        print(f"copied with h5py: {copied:.1f} s, {rows / copied:,.0f} rows a second")
        print(f"converted: {converted:.1f} s, {rows / converted:,.0f} rows a second")
        print(f"conversion's speed against the copy's: {copied / converted:.2f}")
        print(f"peak memory of the conversion: {peak:,.0f} MB")


if __name__ == "__main__":
    main()
