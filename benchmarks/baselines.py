"""The time of an update of each baseline, against that of its own products.

The products are found in the update itself (`benchmarks.products`), so a new method is measured
without a line here. Beside them, FISOR's three stages.
"""

import dataclasses
import gc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks.measuring import Timing, in_turns, ratio
from benchmarks.products import work
from benchmarks.training import ROWS, STAGES, random_transitions, stage_training
from benchmarks.updates import Fitted, advancing, captured
from fisor.baselines.baseline import Problem
from fisor.config.layers import typed
from fisor.config.params import Params
from fisor.data.transitions import Transitions
from fisor.methods import FISOR, method_module

HORIZON_STEPS, COST_LIMIT = 1000, 10.0
BOUNDS = {"CPQ": 2.0, "BCQ-Lag": 2.0, "COptiDICE": 2.0}  # times their products
OPERATIONS_ON_CPU, OPERATIONS_ON_GPU = 2e10, 2e12  # of products in a timing: tenths of a second
MOST_UPDATES = 3000  # in a timing
PRODUCTS = "products"


def random_problem(observation_dim: int) -> tuple[Transitions, Problem]:
    """`ROWS` random rows in episodes of `HORIZON_STEPS`, three of a hundred with a cost."""
    step = np.arange(ROWS) % HORIZON_STEPS
    data = random_transitions(observation_dim)._replace(
        costs=(np.random.default_rng(1).random(ROWS) < 0.03).astype(np.float32),
        terminals=step == HORIZON_STEPS - 1,
    )
    return data, Problem(HORIZON_STEPS, COST_LIMIT, np.arange(ROWS) // HORIZON_STEPS, step)


def trainings(
    params: Params, methods: Sequence[str], data: Transitions, problem: Problem
) -> Iterator[tuple[str, str, Fitted]]:
    """Name, method and training: FISOR's stages, then each `fit` of each baseline."""
    for stage in STAGES:
        yield stage, FISOR, stage_training(stage, params, data, data)
    known = dataclasses.asdict(params)
    for method in methods:
        module = method_module(method)
        values = known | dict(params.methods[method]["train"])
        config = typed(module.Config, {name: values[name] for name in module.Config.names()})
        found, _ = captured(module, config, problem, data)
        for number, given in enumerate(found, start=1):
            yield f"{method} {number}" if len(found) > 1 else method, method, given


def measure(
    params: Params, observation_dims: Sequence[int], methods: Sequence[str], rounds: int
) -> Iterator[dict[str, Any]]:
    """A row for each training and size, as soon as it is measured.

    A GPU gets no row's products: their many programs, compiled one by one, take minutes there.

    Args:
        params: params.yaml's.
        observation_dims: sizes of an observation.
        methods: baselines, by their names in `fisor.methods`.
        rounds: timings of each.
    """
    params = dataclasses.replace(params, seeds=1)
    on_cpu = jax.devices()[0].platform == "cpu"
    operations_in_a_timing = OPERATIONS_ON_CPU if on_cpu else OPERATIONS_ON_GPU
    for dim in observation_dims:
        for name, method, given in trainings(params, methods, *random_problem(dim)):
            products = given.products()
            operations = sum(product.operations for product in products)
            length = int(min(MOST_UPDATES, max(1, operations_in_a_timing / operations)))
            works: dict[str, Any] = {name: (advancing(given, 1, length), length)}
            if on_cpu:
                works[PRODUCTS] = work(products, length), length
            timings = in_turns(works, rounds)
            yield {
                "training": name,
                "observation_dim": dim,
                "batch_size": given.batch_size,
                "products": sum(product.times for product in products),
                "gigaoperations": operations / 1e9,
                "milliseconds": 1e3 * timings[name].best,
                **against_products(timings, name),
                "bound": BOUNDS.get(method),
            }
            del works
            gc.collect()


def against_products(timings: Mapping[str, Timing], name: str) -> dict[str, float | None]:
    """Milliseconds of a work's products, and how many times theirs it takes; None if not timed."""
    products = timings.get(PRODUCTS)
    return {
        "products_milliseconds": products and 1e3 * products.best,
        "times_its_products": products and ratio(timings[name], products),
    }
