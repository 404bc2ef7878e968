"""Behaviour cloning (BC): a deterministic policy regressed on the dataset's actions."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from fisor.agents import Agent
from fisor.baselines import actors
from fisor.baselines.actors import Actor
from fisor.baselines.baseline import Fit, Problem, Trained
from fisor.config.baseline import BaselineActing, NetworkTraining
from fisor.data.transitions import Transitions
from fisor.nn.optimiser import Learner, begin, descend, optimiser

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(NetworkTraining):
    """BC's parameters of training."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(BaselineActing):
    """BC acts in one way."""


def loss(action: Array, data_action: Array) -> Array:
    """(pi(s) - a)^2, mean over an action's entries, `[action_dim]` -> `[]`."""
    return jnp.square(action - data_action).mean()


def train(config: Config, problem: Problem, data: Transitions, fit: Fit) -> Trained:
    """Train every seed.

    Args:
        config: its parameters.
        problem: not used.
        data: the dataset, n transitions.
        fit: the training loop.
    """
    actor, adam = Actor.of(config, data.actions.shape[-1]), optimiser(config)

    def init(key: Array) -> Learner:
        return begin(adam, actors.fresh(actor.network, key, data.observations.shape[-1]))

    def update(policy: Learner, batch: Any, key: Array) -> tuple[Learner, dict[str, Array]]:
        del key
        rows, _ = batch

        def mean_loss(params: Any) -> tuple[Array, None]:
            return jax.vmap(loss)(actor(params, rows.observations), rows.actions).mean(), None

        policy, value, _ = descend(adam, policy, mean_loss)
        return policy, {"policy_loss": value}

    states, curve = fit(
        init, update, data.only("observations", "actions"), batch_size=config.batch_size
    )
    return Trained(states.params, actors.sizes(config), curve)


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    return actors.deterministic_agent(directory, config)
