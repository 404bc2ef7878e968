"""Rate of training with the data on the device against batches fed from memory-mapped files.

Run from the project's root: `python -m benchmarks.feeding`. Prints a line for each network and
observation size, of three seeds at the paper's sizes; the two ways take turns in one process.
"""

import dataclasses
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fisor.config.files import load_params
from fisor.config.params import Params
from fisor.critics import feasibility
from fisor.data.transitions import Transitions
from fisor.policies import regression
from fisor.training.fit import fit
from stages.command import keep_compiled_programs

ROWS, ACTION_DIM = 1_000_000, 2
OBSERVATION_DIMS = 8, 72
INTERVALS, TURNS = 5, 3  # of the curve, in a measurement; how often each way is measured


def mapped_transitions(folder: Path, observation_dim: int) -> Transitions:
    """Random transitions in memory-mapped files."""
    draw = np.random.default_rng(0)
    shapes = {
        "observations": (ROWS, observation_dim),
        "actions": (ROWS, ACTION_DIM),
        "next_observations": (ROWS, observation_dim),
        "rewards": (ROWS,),
        "violations": (ROWS,),
    }
    arrays: dict[str, Any] = {"costs": None, "terminals": np.zeros(ROWS, bool)}
    for name, shape in shapes.items():
        path = folder / f"{name}-{observation_dim}.npy"
        np.save(path, draw.uniform(-1, 1, shape).astype(np.float32))
        arrays[name] = np.load(path, mmap_mode="r")
    return Transitions(**arrays)


def seconds(train: Callable[..., Any], params: Params, updates: int, on_device: bool) -> float:
    """Of `fit` for so many updates, compilation and all."""
    sized = dataclasses.replace(params, training_steps=updates)
    started = time.perf_counter()
    jax.block_until_ready(train(config=sized, on_device=on_device)[0])
    return time.perf_counter() - started


def rates(train: Callable[..., Any], params: Params) -> tuple[float, float]:
    """Updates a second, on the device and fed: long runs less short ones, the best of turns."""
    interval = params.log_every_updates
    best = {True: 0.0, False: 0.0}
    for way in best:  # compile; the runs below take the programs from the kept ones
        seconds(train, params, interval, way)
    for _ in range(TURNS):
        for way in best:
            short = seconds(train, params, interval, way)
            taken = seconds(train, params, (1 + INTERVALS) * interval, way) - short
            best[way] = max(best[way], INTERVALS * interval / taken)
    return best[True], best[False]


def main() -> None:
    """Print both rates and their ratio."""
    keep_compiled_programs()
    print(f"{platform.machine()}, {jax.devices()[0].device_kind}, {jax.device_count()} device(s)")
    params = dataclasses.replace(load_params(), seeds=3)
    with tempfile.TemporaryDirectory() as folder:
        for observation_dim in OBSERVATION_DIMS:
            data = mapped_transitions(Path(folder), observation_dim)
            critic = dataclasses.replace(params, log_every_updates=100)
            actor = dataclasses.replace(params, log_every_updates=4)
            weights = np.ones((3, ROWS), np.float32)
            trainings: dict[str, tuple[Params, Any, Any, Any, int]] = {
                "Q_h, V_h": (critic, feasibility.init, feasibility.update(critic), (), 256),
                "policy": (
                    actor,
                    regression.init,
                    regression.update(actor, ACTION_DIM),
                    weights,
                    2048,
                ),
            }
            for name, (sized, init, update, own, batch_size) in trainings.items():
                rows = (
                    regression.learned_from(data)
                    if name == "policy"
                    else feasibility.learned_from(critic, data)
                )
                train = partial(
                    fit, init(sized, data), update, rows, own, batch_size=batch_size, name=name
                )
                there, fed = rates(train, sized)
                print(
                    f"{name}, {observation_dim} observations: {there:.1f} updates/s on the device, "
                    f"{fed:.1f} fed: {fed / there:.2f}"
                )


if __name__ == "__main__":
    main()
