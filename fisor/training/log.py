"""The log of a training: its curve, and the hardware that it ran on."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fisor.hardware import hardware
from fisor.outputs import atomic_directory

CURVE, HARDWARE = "curve.csv", "hardware.txt"


class Curve(NamedTuple):
    """Training curves: means over each interval of updates.

    Attributes:
        updates: `[points]` updates done at the end of each interval.
        metrics: name -> `[points, seeds]`.
    """

    updates: np.ndarray
    metrics: dict[str, np.ndarray]


def write_log(folder: str | Path, curve: Curve) -> None:
    """Write curve.csv and hardware.txt into a folder, which appears only when both are complete."""
    with atomic_directory(folder) as directory:
        write_curve(directory / CURVE, curve)
        (directory / HARDWARE).write_text(hardware() + "\n", encoding="utf-8")


def write_curve(path: str | Path, curve: Curve) -> None:
    """Write a curve as CSV: one row per point and seed."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["update", "seed", *curve.metrics])
        for point, update in enumerate(curve.updates):
            for seed in range(next(iter(curve.metrics.values())).shape[1]):
                values = [f"{values[point, seed]:.6g}" for values in curve.metrics.values()]
                writer.writerow([update, seed, *values])
