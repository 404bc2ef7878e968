"""A training whose result shows every bit of what it was given."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisor.config.params import Params
from fisor.training.fit import fit
from fisor.training.log import Curve

ROWS = np.arange(50, dtype=np.uint32)
OWN = np.random.default_rng(1).integers(2**32, size=(8, 50), dtype=np.uint32)
WEIGHTS = np.random.default_rng(2).uniform(size=(8, 50)).astype(np.float32)


def update(mixed: Any, batch: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
    """A step in whole numbers, so that equal means equal whatever the order of sums.

    Of windows, the place in the window counts as well.
    """
    shared, of_seed = batch
    if shared.ndim == 2:
        shared = shared * (1 + jnp.arange(shared.shape[1], dtype=jnp.uint32))[None, :]
    mixed = mixed * jnp.uint32(1664525) + (shared * of_seed).sum() + jax.random.bits(key)
    return mixed, {"low": (mixed % 1000).astype(jnp.float32)}


def mix(
    params: Params,
    *,
    by_weight: bool = False,
    rows: np.ndarray = ROWS,
    **options: Any,
) -> tuple[jax.Array, Curve]:
    """A number for each seed that mixes start, keys, rows and own rows; options are `fit`'s."""
    own = OWN[: params.seeds]
    weights = WEIGHTS[: params.seeds] if by_weight else None
    options = {"config": params, "batch_size": 8, "name": "mix", **options}
    return fit(jax.random.bits, update, rows, own, weights, **options)
