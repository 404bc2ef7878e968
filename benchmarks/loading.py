"""Time from Parquet to arrays on the device, and from the device to a checkpoint."""

import dataclasses
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.measuring import in_turns
from benchmarks.training import random_transitions
from fisor.config.params import Params
from fisor.data import loading, parquet
from fisor.policies import regression
from fisor.training.fit import seed_keys
from fisor.training.resuming import EVERY_SECONDS, Checkpoints

ROWS, BLOCK_ROWS, EPISODE_STEPS, ACTION_DIM = 500_000, 100_000, 1000, 2


def _blocks(observation_dim: int) -> Iterator[dict[str, Any]]:
    draw = np.random.default_rng(0)
    for first in range(0, ROWS, BLOCK_ROWS):
        row = np.arange(first, first + BLOCK_ROWS)
        last = row % EPISODE_STEPS == EPISODE_STEPS - 1
        yield {
            "episode": (row // EPISODE_STEPS).astype(np.int32),
            "step": (row % EPISODE_STEPS).astype(np.int32),
            "observation": draw.standard_normal((BLOCK_ROWS, observation_dim), np.float32),
            "action": draw.uniform(-1, 1, (BLOCK_ROWS, ACTION_DIM)).astype(np.float32),
            "next_observation": draw.standard_normal((BLOCK_ROWS, observation_dim), np.float32),
            "reward": draw.standard_normal(BLOCK_ROWS, np.float32),
            "cost": np.zeros(BLOCK_ROWS, np.float32),
            "terminal": np.zeros(BLOCK_ROWS, bool),
            "timeout": last,
        }


def measure(observation_dim: int, rounds: int) -> dict[str, Any]:
    """Seconds to read, check and move a dataset, from files that the system has in memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        schema = parquet.schema(observation_dim, ACTION_DIM, False, {})
        parquet.write_parquet(path, schema, _blocks(observation_dim))

        def load() -> Any:
            return jax.device_put(loading.load(path, None, timeouts_are_terminal=True))

        timing = in_turns({"load": (load, 1)}, rounds)["load"]
        size = sum(array.nbytes for array in jax.tree.leaves(load()))
    return {
        "rows": ROWS,
        "observation_dim": observation_dim,
        "megabytes": size / 1e6,
        "seconds": timing.best,
        "megabytes_per_second": size / 1e6 / timing.best,
    }


def measure_checkpoint(params: Params, observation_dim: int, rounds: int) -> dict[str, Any]:
    """Seconds to write what the training of three seeds' policies carries, the largest state."""
    params = dataclasses.replace(params, seeds=3)
    init = regression.init(params, random_transitions(observation_dim))
    states = jax.jit(jax.vmap(init))(seed_keys(params.seeds))
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), "benchmark", dict)
        work = partial(checkpoints.write, 1, states), 1
        timing = in_turns({"checkpoint": work}, rounds)["checkpoint"]
    return {
        "megabytes": sum(leaf.nbytes for leaf in jax.tree.leaves(states)) / 1e6,
        "seconds": timing.best,
        "percent_of_training": 100 * timing.best / EVERY_SECONDS,
    }
