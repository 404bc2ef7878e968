"""Behaviour cloning (BC): a deterministic policy regressed on the dataset's actions."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fisor.agents import Agent, Step
from fisor.baselines.baseline import Fit, Problem, Trained
from fisor.config.baseline import BaselineActing, BaselineTraining
from fisor.config.section import setting
from fisor.data.transitions import Transitions
from fisor.nn import checkpoint
from fisor.nn.networks import MLP, forward
from fisor.nn.optimiser import optimiser

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaselineTraining):
    """BC's own parameters of training.

    Attributes:
        batch_size: rows a step.
        hidden_layers: of the policy.
        hidden_units: of each layer.
    """

    batch_size: int = setting(ge=1, by_task=True)
    hidden_layers: int = setting(ge=1, le=16, by_task=True)
    hidden_units: int = setting(ge=1, le=65536, by_task=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(BaselineActing):
    """BC acts in one way."""


class State(NamedTuple):
    """What the training of one seed carries."""

    policy: Any
    optimiser: Any


def loss(action: Array, data_action: Array) -> Array:
    """(pi(s) - a)^2, mean over an action's entries, `[action_dim]` -> `[]`."""
    return jnp.square(action - data_action).mean()


def _network(config: Any, action_dim: int, precision: str = "float32") -> MLP:
    return MLP(action_dim, config["hidden_layers"], config["hidden_units"], precision)


def train(config: Config, problem: Problem, data: Transitions, fit: Fit) -> Trained:
    """Train every seed.

    Args:
        config: its parameters.
        problem: not used.
        data: the dataset, n transitions.
        fit: the training loop.
    """
    sizes = {"hidden_layers": config.hidden_layers, "hidden_units": config.hidden_units}
    observation_dim, action_dim = data.observations.shape[-1], data.actions.shape[-1]
    network = _network(sizes, action_dim, config.product_precision)
    adam = optimiser(config)

    def init(key: Array) -> State:
        policy = network.init(key, jnp.zeros((1, observation_dim)))
        return State(policy, adam.init(policy))

    def update(state: State, batch: Any, key: Array) -> tuple[State, dict[str, Array]]:
        del key
        rows, _ = batch

        def mean_loss(policy: Any) -> Array:
            actions = jnp.tanh(forward(network, policy, rows.observations))
            return jax.vmap(loss)(actions, rows.actions).mean()

        value, gradient = jax.value_and_grad(mean_loss)(state.policy)
        change, adam_state = adam.update(gradient, state.optimiser)
        policy = optax.apply_updates(state.policy, change)
        return State(policy, adam_state), {"policy_loss": value}

    states, curve = fit(
        init, update, data.only("observations", "actions"), batch_size=config.batch_size
    )
    return Trained(states.policy, sizes, curve)


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    for name in ("seeds", "observation_dim", "action_dim", "hidden_layers", "hidden_units"):
        checkpoint.size(config, name, directory)
    network = _network(config, config["action_dim"])

    def template() -> Any:
        keys = jax.random.split(jax.random.key(0), config["seeds"])
        observation = jnp.zeros((1, config["observation_dim"]))
        return jax.vmap(lambda key: network.init(key, observation))(keys)

    def act(params: Any, memory: tuple[()], step: Step, key: Array) -> tuple[Array, tuple[()]]:
        return jnp.tanh(forward(network, params, step.observation[None]))[0], memory

    return Agent(checkpoint.load(directory, template), config["action_dim"], tuple, act)
