"""The one training loop: data on the device, steps scanned in chunks, seeds side by side."""

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from fisor.errors import InputError
from fisor.params import Params
from fisor.sampling import AliasTable, alias_table, draw

Array = jax.Array


class Curve(NamedTuple):
    """Training curves: means over each interval of updates.

    Attributes:
        updates: `[points]` updates done at the end of each interval.
        metrics: name -> `[points, seeds]`.
    """

    updates: np.ndarray
    metrics: dict[str, np.ndarray]


def seed_keys(seeds: int) -> Array:
    """Keys of the training seeds 0, 1, ..., `[seeds]`; no seed's key depends on the others."""
    return jax.vmap(jax.random.key)(jnp.arange(seeds))


def fit(
    init: Callable[[Array], Any],
    update: Callable[[Any, Any, Array], tuple[Any, dict[str, Array]]],
    data: Any,
    seed_data: Any = (),
    row_weights: np.ndarray | None = None,
    *,
    params: Params,
    batch_size: int,
    name: str,
) -> tuple[Any, Curve]:
    """Train every seed for `training_steps` updates on batches drawn with replacement.

    Rows are drawn uniformly, or in proportion to `row_weights`.

    A seed's numbers depend on its own key alone: not on the other seeds and not on the chunks'
    length.

    Args:
        init: key -> state of one seed.
        update: (state, batch, key) -> (state, scalars for the curve), for one seed. The batch is
            (rows of `data`, the same rows of the seed's own data).
        data: pytree of `[n, ...]` arrays that all seeds share.
        seed_data: pytree of `[seeds, n, ...]` arrays of each seed's own, such as weights.
        row_weights: `[seeds, n]` at least 0, to draw rows by; None draws them uniformly.
        params: for `seeds`, `training_steps` and `log_every_updates`.
        batch_size: rows a step.
        name: what is trained, for the progress bar and messages.

    Returns:
        The states, stacked along a leading `[seeds]` axis, and the curve.

    Raises:
        InputError: a metric is NaN or infinite; names the update, the metric and the seed.
    """
    rows = jax.tree.leaves(data)[0].shape[0]
    steps, interval = params.training_steps, params.log_every_updates

    def one_update(
        state: Any, own: Any, table: AliasTable | None, key: Array, data: Any, step: Array
    ) -> tuple[Any, dict[str, Array]]:
        batch_key, update_key = jax.random.split(jax.random.fold_in(key, step))
        if table is None:
            picked = jax.random.randint(batch_key, (batch_size,), 0, rows)
        else:
            picked = draw(table, batch_key, batch_size)
        batch = jax.tree.map(lambda array: array[picked], (data, own))
        return update(state, batch, update_key)

    # The dataset is an argument: as a constant it would be compiled into the program.
    @partial(jax.jit, static_argnames="length")
    def chunk(
        states: Any, own: Any, tables: Any, keys: Array, data: Any, first: Array, length: int
    ) -> Any:
        def every_seed(states: Any, step: Array) -> tuple[Any, dict[str, Array]]:
            update_seeds = jax.vmap(one_update, in_axes=(0, 0, 0, 0, None, None))
            return update_seeds(states, own, tables, keys, data, step)

        return jax.lax.scan(every_seed, states, first + jnp.arange(length))

    tables = None
    if row_weights is not None:
        each = [alias_table(weights) for weights in row_weights]
        tables = jax.tree.map(lambda *arrays: np.stack(arrays), *each)
    data, seed_data, tables = jax.device_put((data, seed_data, tables))
    keys = seed_keys(params.seeds)
    init_keys, update_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
    states = jax.jit(jax.vmap(init))(init_keys)
    updates, points = [], []
    with tqdm(total=steps, desc=name, unit="update", disable=None) as progress:
        for first in range(0, steps, interval):
            length = min(interval, steps - first)
            states, metrics = chunk(states, seed_data, tables, update_keys, data, first, length)
            metrics = {key: np.asarray(values) for key, values in metrics.items()}
            _refuse_not_finite(metrics, first, name)
            updates.append(first + length)
            points.append({key: values.mean(0) for key, values in metrics.items()})
            progress.update(length)
    curves = {key: np.stack([point[key] for point in points]) for key in points[0]}
    return states, Curve(np.asarray(updates), curves)


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


def write_curve(path: str | Path, curve: Curve) -> None:
    """Write a curve as CSV: a row for each point and seed."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["update", "seed", *curve.metrics])
        for point, update in enumerate(curve.updates):
            for seed in range(next(iter(curve.metrics.values())).shape[1]):
                values = [f"{values[point, seed]:.6g}" for values in curve.metrics.values()]
                writer.writerow([update, seed, *values])
