"""Drawing rows in proportion to weights, in constant time on the device (the alias method)."""

from typing import Any, NamedTuple

import jax
import numpy as np

Array = jax.Array


class AliasTable(NamedTuple):
    """Walker's alias table in Vose's form (IEEE Trans. Software Eng. 17, 1991).

    Attributes:
        keep: `[n]` probability with which a uniformly drawn row stands.
        alias: `[n]` the row that is taken otherwise.
    """

    keep: Any
    alias: Any


def alias_table(weights: np.ndarray) -> AliasTable:
    """The table of `[n]` weights, at least 0 and not all 0."""
    scaled = weights.astype(np.float64) * (weights.size / weights.sum(dtype=np.float64))
    keep, alias = np.ones(weights.size), np.arange(weights.size, dtype=np.int32)
    small = list(np.flatnonzero(scaled < 1))
    large = list(np.flatnonzero(scaled >= 1))
    while small and large:
        poor, rich = small.pop(), large[-1]
        keep[poor], alias[poor] = scaled[poor], rich
        scaled[rich] -= 1 - scaled[poor]
        if scaled[rich] < 1:
            small.append(large.pop())
    # Whoever is left has 1 but for rounding, and stands.
    return AliasTable(keep.astype(np.float32), alias)


def draw(table: AliasTable, key: Array, count: int) -> Array:
    """Draw `[count]` rows with replacement, each in proportion to its weight. Consumes `key`."""
    row_key, keep_key = jax.random.split(key)
    rows = jax.random.randint(row_key, (count,), 0, table.keep.shape[0])
    stands = jax.random.uniform(keep_key, (count,)) < table.keep[rows]
    return jax.numpy.where(stands, rows, table.alias[rows])
