"""The one training loop: updates in chunks, seeds side by side, a curve, checkpoints."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from fisor.config.training import Training
from fisor.errors import InputError
from fisor.training.feeding import ahead, fits, gather, updates_per_chunk
from fisor.training.log import Curve
from fisor.training.pace import Pace
from fisor.training.programs import (
    CHUNK_SEEDS,
    EVERYWHERE,
    SEEDS,
    Init,
    Programs,
    Update,
    devices_for,
)
from fisor.training.resuming import Checkpoints, hash_of, loaded_code_hash
from fisor.training.sampling import alias_table

Array = jax.Array
Chunk = tuple[int, int]  # updates done before it, and its length
Advance = Callable[[Any], tuple[Any, dict[str, Array]]]  # states -> states, metrics of a chunk


def seed_keys(seeds: int) -> Array:
    """Keys of the training seeds 0, 1, ..., `[seeds]`; no seed's key depends on the others."""
    return jax.vmap(jax.random.key)(jnp.arange(seeds))


def fit(
    init: Init,
    update: Update,
    data: Any,
    seed_data: Any = (),
    row_weights: np.ndarray | None = None,
    *,
    config: Training,
    batch_size: int,
    name: str,
    advice: str = "",
    window_steps: int = 1,
    unfinished: Path | None = None,
    on_device: bool | None = None,
) -> tuple[Any, Curve]:
    """Train every seed for `training_steps` updates on batches drawn with replacement.

    Rows are drawn uniformly, or in proportion to `row_weights`. With `window_steps` above 1, each
    drawn row is the first of a window of consecutive rows. A window may reach beyond the episode of
    its first row, so `update` must mask the rows that follow; beyond the end of the data, the last
    row is repeated. If the data has each row's `step` in its episode, the rows of the first one's
    episode are those where `step == step[:, :1] + arange(window_steps)`.

    The result of a seed depends on its own key alone, not on the other seeds, the length of the
    chunks, where the data is stored, or interruptions. Seeds are spread over the largest number of
    devices that divides their number.

    Args:
        init: key -> state of one seed.
        update: (state, batch, key) -> (state, scalars for the curve), for one seed. The batch is
            (rows of `data`, the same rows of the seed's own data), `[B, ...]` each, or
            `[B, window_steps, ...]`.
        data: pytree of `[n, ...]` arrays that all seeds share; they may be memory-mapped.
        seed_data: pytree of `[seeds, n, ...]` arrays of each seed's own, such as weights.
        row_weights: `[seeds, n]` at least 0, weights to draw rows by; None draws them uniformly.
        config: the whole configuration of this training; `seeds`, `training_steps` and
            `log_every_updates` are read here. A checkpoint of another configuration is not used.
        batch_size: rows, or windows, per step.
        name: name of the training, for the progress bar and messages.
        advice: what to do where this takes hours without a GPU; is then printed, once.
        window_steps: rows per window.
        unfinished: a folder for checkpoints, written from time to time at points of the curve. If
            it holds a checkpoint of this same training, that one is resumed. The caller removes the
            folder once the result is written. None writes no checkpoints.
        on_device: whether to keep the data on the device, or on the host, from where a thread feeds
            batches; None decides by the size of the data.

    Returns:
        The states, stacked along a leading `[seeds]` axis, and the curve.

    Raises:
        InputError: a metric is NaN or infinite; names the update, the metric and the seed.
    """
    steps, interval, seeds = config.training_steps, config.log_every_updates, config.seeds
    devices = devices_for(seeds)
    rows = jax.tree.leaves(data)[0].shape[0]
    programs = Programs(init, update, rows, batch_size, devices, window_steps)

    tables = None
    if row_weights is not None:
        each = [alias_table(weights) for weights in row_weights]
        tables = jax.tree.map(lambda *arrays: np.stack(arrays), *each)
    init_keys, keys = programs.put(
        tuple(jax.vmap(jax.random.split, out_axes=1)(seed_keys(seeds))), SEEDS
    )

    def identity() -> dict[str, Any]:
        return {
            "configuration": asdict(config),
            "batch_size": batch_size,
            "window_steps": window_steps,
            "inputs": hash_of((data, seed_data, tables, init_keys, keys)),
            "code": loaded_code_hash(),
            "devices": [device.device_kind for device in devices],
            "jax": [jax.__version__, jax.lib.__version__],
        }

    def template(updates: int) -> Any:
        states, metrics = programs.shapes(init_keys, tables, data, seed_data)
        shape = updates // interval, seeds
        curve = {key: jax.ShapeDtypeStruct(shape, value.dtype) for key, value in metrics.items()}
        return {"states": states, "curve": curve}

    checkpoints = Checkpoints(unfinished, name, identity)
    done, points = 0, []
    if (last := checkpoints.last(template)) is None:
        states = programs.start(init_keys)
    else:
        done, kept = last
        states = programs.put(kept["states"], SEEDS)
        of_each = {key: np.asarray(values) for key, values in kept["curve"].items()}
        points = [{key: v[i] for key, v in of_each.items()} for i in range(done // interval)]

    if on_device is None:
        on_device = fits(data, seed_data, devices, name)
    tables = programs.put(tables, SEEDS)
    if on_device:
        given = keys, tables, programs.put(data, EVERYWHERE), programs.put(seed_data, SEEDS)
        chunks = _chunks(done, steps, interval, interval)

        def prepared(chunk: Chunk) -> Advance:
            first, length = chunk
            return lambda states: programs.run(states, *given, first, length=length)

        feed = (prepared(chunk) for chunk in chunks)
    else:
        batch_rows = batch_size * window_steps
        most = updates_per_chunk(data, seed_data, seeds, batch_rows)
        chunks = _chunks(done, steps, interval, most)

        def gathered(chunk: Chunk) -> Advance:
            first, length = chunk
            picked = np.asarray(programs.picked(keys, tables, first, length=length))
            batches = programs.put(gather(data, seed_data, picked), CHUNK_SEEDS)
            return lambda states: programs.run_on(states, keys, batches, first)

        feed = ahead(gathered, chunks)

    pace = Pace(name, steps, advice if devices[0].platform == "cpu" else "")
    within: list[dict[str, np.ndarray]] = []  # metrics since the curve's last point
    with (
        tqdm(total=steps, initial=done, desc=name, unit="update", disable=None) as progress,
        closing(feed),
    ):
        for (first, length), advance in zip(chunks, feed, strict=True):
            states, on_devices = advance(states)
            metrics = {key: np.asarray(values) for key, values in on_devices.items()}
            _refuse_not_finite(metrics, first, name)
            within.append(metrics)
            progress.update(length)
            done = first + length
            pace.advanced(done, length)
            if done % interval and done < steps:
                continue
            points.append(_means(within))
            within.clear()
            if done < steps and checkpoints.due():
                checkpoints.write(done, {"states": states, "curve": _stacked(points)})
    updates = np.minimum(np.arange(1, len(points) + 1) * interval, steps)
    return states, Curve(updates, _stacked(points))


def _chunks(done: int, steps: int, interval: int, most: int) -> list[Chunk]:
    """From `done` to `steps` in chunks of at most `most`; they end at multiples of `interval`."""
    return [
        (first, min(most, end - first))
        for start in range(done, steps, interval)
        for end in [min(start + interval, steps)]
        for first in range(start, end, most)
    ]


def _means(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Means over updates, of metrics `[updates, seeds]` in parts."""
    return {key: np.concatenate([part[key] for part in parts]).mean(0) for key in parts[0]}


def _stacked(points: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.stack([point[key] for point in points]) for key in points[0]}


def _refuse_not_finite(metrics: dict[str, np.ndarray], first: int, name: str) -> None:
    bad = [
        (int(step), int(seed), metric)
        for metric, values in metrics.items()
        for step, seed in np.argwhere(~np.isfinite(values))[:1]
    ]
    if bad:
        step, seed, metric = min(bad)
        raise InputError(
            f"{name}: `{metric}` of seed {seed} is {metrics[metric][step, seed]} at update "
            f"{first + step + 1}; try a smaller learning_rate, or look for outliers in the data"
        )
