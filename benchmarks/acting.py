"""Time to act, with N candidates, of a fresh policy of the paper's sizes, and in one pass.

The sampled one acts from float32 and from bfloat16 operands.
"""

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.measuring import in_turns
from fisor.config.params import Params, one_step_of
from fisor.critics import trained
from fisor.methods import FISOR
from fisor.policies import agent, diffusion, regression
from fisor.policies.candidates import rounded
from fisor.policies.one_step import OneStepNetwork
from fisor.policies.stored import PolicyNetworks, PolicyParams

ACTION_DIM = 2
BATCHES = 1, 64, 1024
SAMPLED, FROM_BFLOAT16, ONE_PASS = "sampled", "sampled, bfloat16", "one pass"
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


def in_one_pass(
    networks: PolicyNetworks, of_seed: PolicyParams, params: Params, observation_dim: int
) -> tuple[PolicyNetworks, PolicyParams]:
    """The same critics with an untrained one-step network, at the sizes of FISOR-OneStep."""
    sizes = params.methods[one_step_of(FISOR)]["train"]
    layers, units = sizes["hidden_layers"], sizes["hidden_units"]
    network = OneStepNetwork(ACTION_DIM, params.T, sizes["sampler"], layers, units)
    score = network.init_params(jax.random.key(1), observation_dim)
    return networks._replace(score=network), of_seed._replace(score=score)


def measure(params: Params, observation_dim: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Milliseconds of a call and observations per second, for some batches; each call is awaited.

    The policies take turns, one batch size after another.
    """
    networks, stacked = fresh_policy(params, observation_dim, ACTION_DIM)
    of_seed = jax.tree.map(lambda leaf: leaf[0], stacked)
    kept = of_seed._replace(score=rounded(of_seed.score, "bfloat16"))
    policies: dict[str, tuple[Any, Any, Any]] = {
        SAMPLED: (networks, of_seed, "float32"),
        FROM_BFLOAT16: (networks, kept, "bfloat16"),
        ONE_PASS: (*in_one_pass(networks, of_seed, params, observation_dim), "float32"),
    }
    calls = ON_CPU if jax.devices()[0].platform == "cpu" else ON_GPU
    draw = np.random.default_rng(0)

    def work(policy: str, batch: int) -> Any:
        networks, of_seed, precision = policies[policy]
        acting = dataclasses.replace(params, acting_precision=precision)
        act = jax.jit(partial(agent.act, networks, acting=acting))
        observations = draw.standard_normal((batch, observation_dim), np.float32)
        key = jax.random.key(0)

        def every_call() -> None:
            for _ in range(calls[batch]):
                np.asarray(act(of_seed, observations, key))  # back on the host

        return every_call, calls[batch]

    for batch in BATCHES:
        works = {policy: work(policy, batch) for policy in policies}
        for policy, timing in in_turns(works, rounds).items():
            yield {
                "policy": policy,
                "batch": batch,
                "candidates": params.N,
                "observation_dim": observation_dim,
                "milliseconds": 1e3 * timing.best,
                "observations_per_second": batch / timing.best,
            }
