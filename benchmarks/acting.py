"""Time to act, with N candidates, of a fresh policy of the paper's sizes."""

import dataclasses
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.measuring import in_turns
from fisor.config.params import Params
from fisor.critics import trained
from fisor.policies import agent, diffusion, regression
from fisor.policies.stored import PolicyNetworks, PolicyParams

ACTION_DIM = 2
BATCHES = 1, 64, 1024
ON_CPU, ON_GPU = {1: 50, 64: 5, 1024: 1}, {1: 200, 64: 200, 1024: 100}  # calls in a timing


def fresh_policy(
    params: Params, observation_dim: int, action_dim: int
) -> tuple[PolicyNetworks, PolicyParams]:
    """An untrained policy for each seed."""
    network = dataclasses.replace(regression.score_network(action_dim, params), dropout=0.0)
    critic = trained.CriticNetworks.of_size(params.hidden_layers, params.hidden_units)

    def of_seed(key: jax.Array) -> PolicyParams:
        score: Any = network.init_params(key, observation_dim)
        q, v = critic.init_params(key, observation_dim, action_dim)
        return PolicyParams(score, q_h=q, v_h=v, q_r=q)

    stacked = jax.vmap(of_seed)(jax.random.split(jax.random.key(0), params.seeds))
    return PolicyNetworks(network, diffusion.schedule(params.T), critic, critic), stacked


def measure(params: Params, observation_dim: int, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds of a call and observations a second, for some batches; each call is awaited."""
    networks, stacked = fresh_policy(params, observation_dim, ACTION_DIM)
    of_seed = jax.tree.map(lambda leaf: leaf[0], stacked)
    act = jax.jit(partial(agent.act, networks, acting=params))
    calls = ON_CPU if jax.devices()[0].platform == "cpu" else ON_GPU
    draw = np.random.default_rng(0)

    def work(batch: int) -> Any:
        observations = draw.standard_normal((batch, observation_dim), np.float32)
        key = jax.random.key(0)

        def every_call() -> None:
            for _ in range(calls[batch]):
                np.asarray(act(of_seed, observations, key))  # back on the host

        return every_call, calls[batch]

    timings = in_turns({str(batch): work(batch) for batch in BATCHES}, rounds)
    return [
        {
            "batch": int(batch),
            "candidates": params.N,
            "observation_dim": observation_dim,
            "milliseconds": 1e3 * timing.best,
            "observations_per_second": int(batch) / timing.best,
        }
        for batch, timing in timings.items()
    ]
