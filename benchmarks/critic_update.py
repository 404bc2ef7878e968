"""Time of one Q_h and V_h update at the paper's sizes, against this machine's own product rate.

Run from the project's root: `python -m benchmarks.critic_update`.
"""

import dataclasses
import platform
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fisor import feasibility
from fisor.params import Params, load_params
from fisor.training import fit
from fisor.transitions import Transitions

ROWS, OBSERVATION_DIM, ACTION_DIM = 100_000, 8, 2  # BallCircle's sizes
UPDATES, REPEATS = 1000, 5


def fastest_seconds(function: Callable[[], Any]) -> float:
    """The least of some timings, the first call (compilation) left out."""
    jax.block_until_ready(function())
    timings = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        jax.block_until_ready(function())
        timings.append(time.perf_counter() - started)
    return min(timings)


def product_flops_per_second(params: Params) -> float:
    """The rate of the products that dominate an update: batch x units by units x units."""
    shape = params.value_batch_size, params.hidden_units
    inputs = jax.random.normal(jax.random.key(0), shape)
    kernel = jax.random.normal(jax.random.key(1), (params.hidden_units,) * 2) / 16
    body = lambda x, _: (jax.nn.relu(x @ kernel), None)  # noqa: E731
    chain = jax.jit(lambda x: jax.lax.scan(body, x, length=UPDATES)[0])
    operations = 2 * shape[0] * shape[1] ** 2 * UPDATES
    return operations / fastest_seconds(lambda: chain(inputs))


def update_seconds(params: Params) -> float:
    """Seconds an update: a long run less a short one, so that compilation drops out."""
    keys = jax.random.split(jax.random.key(0), 4)
    observations = jax.random.normal(keys[0], (ROWS, OBSERVATION_DIM))
    data = Transitions(
        observations=observations,
        actions=jax.random.uniform(keys[1], (ROWS, ACTION_DIM), minval=-1),
        next_observations=jnp.roll(observations, -1, axis=0),
        rewards=jnp.zeros(ROWS),
        violations=jax.random.normal(keys[2], (ROWS,)),
        terminals=jnp.zeros(ROWS, bool),
    )

    def seconds(steps: int) -> float:
        sized = dataclasses.replace(params, training_steps=steps, log_every_updates=UPDATES)
        started = time.perf_counter()
        fit(
            feasibility.init(sized, data),
            feasibility.update(sized),
            data,
            params=sized,
            batch_size=sized.value_batch_size,
            name="benchmark",
        )
        return time.perf_counter() - started

    return (seconds(6 * UPDATES) - seconds(UPDATES)) / (5 * UPDATES)


def main() -> None:
    """Print the rates and their ratio."""
    params = dataclasses.replace(load_params(), seeds=1)
    rate = product_flops_per_second(params)
    seconds = update_seconds(params)
    units = params.hidden_units
    # Multiplications of a pass through one network; Q_h twice and V_h forward and backward (3
    # passes each), the target Q_h twice and V_h of the next states forward only.
    inputs = OBSERVATION_DIM + ACTION_DIM
    one_pass = params.value_batch_size * (inputs * units + units * units + units)
    floor = 2 * one_pass * (3 * 3 + 3) / rate
    print(f"{platform.machine()}, {jax.devices()[0].device_kind}, {jax.device_count()} device(s)")
    print(f"products at this size: {rate / 1e9:.0f} GFLOP/s")
    print(
        f"one update of Q_h and V_h: {1e3 * seconds:.2f} ms; products alone: {1e3 * floor:.2f} ms"
    )
    print(f"ratio to the floor: {seconds / floor:.2f}")


if __name__ == "__main__":
    main()
