"""Drawing rows in proportion to weights, in constant time on the device (the alias method)."""

from typing import Any, NamedTuple

import jax
import numpy as np

Array = jax.Array


class AliasTable(NamedTuple):
    """Walker's alias table in Vose's form (IEEE Trans. Software Eng. 17, 1991).

    Attributes:
        keep: `[n]` probability that a uniformly drawn row is kept.
        alias: `[n]` the row that replaces it otherwise.
    """

    keep: Any
    alias: Any


def alias_table(weights: np.ndarray) -> AliasTable:
    """The table of `[n]` weights, at least 0 and not all 0.

    In units of the mean weight, rows below 1 have a deficit and rows above 1 a surplus. Comparing
    the cumulative sums of both gives the row whose surplus fills each deficit. A row that has given
    away more than its surplus has a deficit, too, which the next row fills.
    """
    scaled = weights.astype(np.float64) * (weights.size / weights.sum(dtype=np.float64))
    keep, alias = np.ones(weights.size), np.arange(weights.size, dtype=np.int32)
    poor, rich = np.flatnonzero(scaled < 1)[::-1], np.flatnonzero(scaled >= 1)[::-1]
    lacking, spare = np.cumsum(1 - scaled[poor]), np.cumsum(scaled[rich] - 1)
    # Because of rounding, the last rows of either kind may find no counterpart: they are kept.
    server = np.searchsorted(spare, np.concatenate([[0.0], lacking])[:-1])
    served = server < rich.size
    keep[poor[served]], alias[poor[served]] = scaled[poor[served]], rich[server[served]]
    last_served = np.searchsorted(lacking, spare, side="right")
    spent = np.flatnonzero(last_served[:-1] < poor.size)
    keep[rich[spent]] = 1 + spare[spent] - lacking[last_served[spent]]
    alias[rich[spent]] = rich[spent + 1]
    return AliasTable(keep.astype(np.float32), alias)


def draw(table: AliasTable, key: Array, count: int) -> Array:
    """Draw `[count]` rows with replacement, each in proportion to its weight. Consumes `key`."""
    row_key, keep_key = jax.random.split(key)
    rows = jax.random.randint(row_key, (count,), 0, table.keep.shape[0])
    stands = jax.random.uniform(keep_key, (count,)) < table.keep[rows]
    return jax.numpy.where(stands, rows, table.alias[rows])
