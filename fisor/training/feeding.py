"""Whether the data fits on the devices; if not, batches prefetched from the host."""

import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import jax
import numpy as np

from fisor.data.memory import host_free_bytes

SHARE_OF_MEMORY = 0.8  # of the free memory may hold data; the rest is left to training
CHUNK_BYTES = 128 * 2**20  # of batches in one chunk; up to four chunks are in flight
CHUNKS_AHEAD = 2

Item = TypeVar("Item")
Made = TypeVar("Made")


def bytes_of(tree: Any) -> int:
    """Bytes of a pytree's arrays."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def free_bytes(device: jax.Device) -> int:
    """Bytes free on a device; for a CPU, of the host's memory."""
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))
    return host_free_bytes()


def fits(data: Any, seed_data: Any, devices: list[jax.Device], name: str) -> bool:
    """Whether the arrays fit on each of the devices; the choice is logged on standard error.

    Args:
        data: pytree of arrays that every device needs.
        seed_data: pytree of `[seeds, ...]` arrays, of which each device gets its share.
        devices: over which the seeds are spread.
        name: name of the training, for the message.
    """
    device = devices[0]
    # All CPU devices share one memory.
    copies, shares = (len(devices), 1) if device.platform == "cpu" else (1, len(devices))
    needed = copies * bytes_of(data) + bytes_of(seed_data) // shares
    free = free_bytes(device)
    fit = needed <= SHARE_OF_MEMORY * free
    where = "on the device" if fit else "too big for it, so fed from the host"
    print(
        f"{name}: {len(devices)} x {device.device_kind}, {free / 1e9:.1f} GB free; "
        f"{needed / 1e9:.3f} GB of data {where}",
        file=sys.stderr,
    )
    return fit


def updates_per_chunk(data: Any, seed_data: Any, seeds: int, batch_rows: int) -> int:
    """Number of updates whose batches make up a chunk of `CHUNK_BYTES`, at least 1."""
    own_rows = [(leaf.nbytes, leaf.shape[0] * leaf.shape[1]) for leaf in jax.tree.leaves(seed_data)]
    rows = [(leaf.nbytes, leaf.shape[0]) for leaf in jax.tree.leaves(data)]
    row_bytes = sum(size / count for size, count in rows + own_rows)
    return max(1, int(CHUNK_BYTES / (row_bytes * seeds * batch_rows)))


def gather(data: Any, seed_data: Any, picked: np.ndarray) -> tuple[Any, Any]:
    """The batches of a chunk, from arrays in memory or memory-mapped.

    Args:
        data: pytree of `[n, ...]` arrays.
        seed_data: pytree of `[seeds, n, ...]` arrays.
        picked: `[updates, seeds, B]` row numbers, or of windows `[updates, seeds, B, steps]`.

    Returns:
        Both pytrees, with arrays of the shape of `picked` followed by that of a row.
    """
    seed = np.arange(picked.shape[1]).reshape(-1, *[1] * (picked.ndim - 2))
    shared = jax.tree.map(lambda array: np.take(array, picked, axis=0), data)
    return shared, jax.tree.map(lambda array: array[seed, picked], seed_data)


def ahead(make: Callable[[Item], Made], items: Iterable[Item]) -> Generator[Made]:
    """Apply `make` to each item, in a background thread and `CHUNKS_AHEAD` items in advance."""
    pool = ThreadPoolExecutor(1)
    under_way: deque[Future[Made]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(make, item))
            if len(under_way) > CHUNKS_AHEAD:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
