"""Timing in turns, the machine's own rates, and its name."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from tqdm import tqdm

from fisor.hardware import hardware

COPY_FLOATS = 2**26  # 256 MB: beyond any cache


class Timing(NamedTuple):
    """Seconds for one piece of work in each round, compilation left out."""

    seconds: list[float]

    @property
    def best(self) -> float:
        """The least: what the machine does when nobody disturbs it."""
        return min(self.seconds)


def in_turns(works: Mapping[str, tuple[Callable[[], Any], int]], rounds: int) -> dict[str, Timing]:
    """Time every work once a round, one after the other, so that other load hits all alike.

    Args:
        works: name -> (a function that does some pieces of the work, how many).
        rounds: how often.

    Returns:
        Seconds a piece.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    with tqdm(total=(1 + rounds) * len(works), unit="timing", disable=None) as progress:
        for turn in range(1 + rounds):
            for name, (function, pieces) in works.items():
                progress.set_description(name)
                started = time.perf_counter()
                jax.block_until_ready(function())
                if turn:  # the first one compiles
                    seconds[name].append((time.perf_counter() - started) / pieces)
                progress.update()
    return {name: Timing(values) for name, values in seconds.items()}


def ratio(slow: Timing, fast: Timing) -> float:
    """How many times faster `fast` is: the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(slow.seconds, fast.seconds, strict=True))


def product_chain(batch: int, widths: tuple[int, int], repeats: int) -> Callable[[], Any]:
    """Products of a batch to a width and back, `repeats` times: 4 batch w w' operations each.

    In float32, for GPUs, too.
    """
    first, second = widths
    x = jax.random.normal(jax.random.key(0), (batch, first))
    there = jax.random.normal(jax.random.key(1), (first, second)) / first**0.5
    back = jax.random.normal(jax.random.key(2), (second, first)) / second**0.5

    @jax.jit
    def chain(x: jax.Array, there: jax.Array, back: jax.Array) -> jax.Array:
        with jax.default_matmul_precision("float32"):
            return jax.lax.scan(lambda x, _: ((x @ there) @ back, None), x, length=repeats)[0]

    return lambda: chain(x, there, back)


def copy() -> Callable[[], Any]:
    """Reads and writes `COPY_FLOATS` float32 once: 8 bytes each."""
    array = jnp.ones(COPY_FLOATS, jnp.float32)
    add = jax.jit(lambda array: array + 1)
    return lambda: add(array)


def circumstances() -> dict[str, Any]:
    """What a figure's reader must know of the machine: its name, versions and other load."""
    return {
        "hardware": hardware(),
        "cpu_cores": len(os.sched_getaffinity(0)),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "jax": jax.__version__,
        "python": platform.python_version(),
    }
