"""Time in which fresh baselines act, against that of their own products.

As in an evaluation: one call for all episodes, whose observations come from the host and whose
actions go back there.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np

from benchmarks.baselines import PRODUCTS, against_products, random_problem
from benchmarks.measuring import in_turns
from benchmarks.products import products_of, work
from benchmarks.updates import captured
from fisor.agents import Agent, Step, load_agent
from fisor.baselines.baseline import save
from fisor.config.layers import typed
from fisor.config.params import Params
from fisor.evaluation.actor import actor
from fisor.methods import method_module

EPISODES = {"TREBI": 1}  # in a call: 64 plans each; of the others:
EPISODES_OF_OTHERS = 60
BOUNDS = {"CDT": 5.0}  # milliseconds
CALLS = {"TREBI": 1}  # in a timing
CALLS_OF_OTHERS = 20


def fresh_agent(params: Params, method: str, observation_dim: int) -> Agent:
    """An untrained baseline's agent, with its acting parameters of params.yaml."""
    data, problem = random_problem(observation_dim)
    module = method_module(method)
    values = dataclasses.asdict(params) | dict(params.methods[method]["train"])
    config = typed(module.Config, {name: values[name] for name in module.Config.names()})
    _, trained = captured(module, config, problem, data)
    with TemporaryDirectory() as folder:
        save(Path(folder), method, config, data, trained)
        return load_agent(folder, params.methods[method]["act"])


def measure(
    params: Params, observation_dim: int, methods: Sequence[str], rounds: int
) -> Iterator[dict[str, Any]]:
    """A row for each method: milliseconds of a call, and on CPUs of its products alone."""
    params = dataclasses.replace(params, seeds=1)
    for method in methods:
        agent = fresh_agent(params, method, observation_dim)
        yield _measured(method, agent, observation_dim, rounds)


def _measured(method: str, agent: Agent, observation_dim: int, rounds: int) -> dict[str, Any]:
    episodes = EPISODES.get(method, EPISODES_OF_OTHERS)
    calls = CALLS.get(method, CALLS_OF_OTHERS)
    nothing = np.zeros(episodes, np.float32)
    drawn = np.random.default_rng(0).standard_normal((episodes, observation_dim), np.float32)
    step = Step(drawn, nothing, nothing, np.full(episodes, 100, np.int32))
    act, numbers = actor(agent, 0, (1, episodes)), np.arange(episodes)

    def every_call() -> None:
        for _ in range(calls):
            act(step, numbers)

    memory = jax.tree.map(
        lambda leaf: np.broadcast_to(leaf, (episodes, *np.shape(leaf))), agent.initial_memory()
    )
    one_seed = jax.tree.map(lambda leaf: leaf[0], agent.params)
    keys = jax.random.split(jax.random.key(0), episodes)
    of_all = jax.vmap(agent.act, in_axes=(None, 0, 0, 0))
    products = products_of(of_all, one_seed, memory, step, keys)
    works: dict[str, Any] = {"call": (every_call, calls)}
    if jax.devices()[0].platform == "cpu":
        works[PRODUCTS] = work(products, calls), calls
    timings = in_turns(works, rounds)
    return {
        "method": method,
        "episodes": episodes,
        "observation_dim": observation_dim,
        "gigaoperations": sum(product.operations for product in products) / 1e9,
        "milliseconds": 1e3 * timings["call"].best,
        **against_products(timings, "call"),
        "bound_milliseconds": BOUNDS.get(method),
    }
