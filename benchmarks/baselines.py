"""The time of an update of each baseline, against that of its own products.

The products are found in the update itself (`benchmarks.products`), so a new method is measured
without a line here. Beside them, FISOR's three stages.
"""

import dataclasses
import gc
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks.measuring import in_turns, ratio
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
OPERATIONS_ON_CPU, OPERATIONS_ON_GPU = (
    2e10,
    2e12,
)  # of products in a timing: some tenths of a second
MOST_UPDATES = 3000  # in a timing


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
) -> list[dict[str, Any]]:
    """A row for each training and size.

    Args:
        params: params.yaml's.
        observation_dims: sizes of an observation.
        methods: baselines, by their names in `fisor.methods`.
        rounds: timings of each.
    """
    params = dataclasses.replace(params, seeds=1)
    on_cpu = jax.devices()[0].platform == "cpu"
    operations_in_a_timing = OPERATIONS_ON_CPU if on_cpu else OPERATIONS_ON_GPU
    rows = []
    for dim in observation_dims:
        works: dict[str, Any] = {}
        facts: dict[str, dict[str, Any]] = {}
        for name, method, given in trainings(params, methods, *random_problem(dim)):
            products = given.products()
            operations = sum(product.operations for product in products)
            length = int(min(MOST_UPDATES, max(1, operations_in_a_timing / operations)))
            works[name] = advancing(given, 1, length), length
            works[f"products of {name}"] = work(products, length), length
            facts[name] = {
                "training": name,
                "observation_dim": dim,
                "batch_size": given.batch_size,
                "products": sum(product.times for product in products),
                "gigaoperations": operations / 1e9,
                "bound": BOUNDS.get(method),
            }
        timings = in_turns(works, rounds)
        for name, fact in facts.items():
            ours, least = timings[name], timings[f"products of {name}"]
            fact |= {
                "milliseconds": 1e3 * ours.best,
                "products_milliseconds": 1e3 * least.best,
                "times_its_products": ratio(ours, least),
            }
            rows.append(fact)
        del works
        gc.collect()
    return rows
