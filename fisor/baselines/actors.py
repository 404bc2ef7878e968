"""The policies of most baselines, by one network: an action, or a Gaussian through tanh."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fisor.agents import Agent, Step
from fisor.config.baseline import NetworkTraining
from fisor.nn import checkpoint
from fisor.nn.networks import MLP, forward

Array = jax.Array

SIZES = "hidden_layers", "hidden_units"
LOG_STD_BOUNDS = -20.0, 2.0
LARGEST_ACTION = 1 - 1e-6  # whose tanh^-1 is finite in float32


class Actor(NamedTuple):
    """A deterministic policy: `[..., obs_dim]` -> `[..., action_dim]`, by tanh in [-1, 1]."""

    network: MLP

    @classmethod
    def of(cls, config: NetworkTraining, action_dim: int) -> "Actor":
        """At the sizes and the precision of a training."""
        return cls(_mlp(config, action_dim))

    def __call__(self, params: Any, observations: Array) -> Array:
        """The actions."""
        return jnp.tanh(forward(self.network, params, observations))


class Gaussian(NamedTuple):
    """A Gaussian's mean and logarithm of its deviation, `[..., action_dim]`, before tanh."""

    mean: Array
    log_std: Array

    def sample(self, key: Array) -> tuple[Array, Array]:
        """An action through tanh, and its log-density `[...]`. Consumes `key`."""
        raw = self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)
        return jnp.tanh(raw), self._log_density(raw)

    def log_density(self, actions: Array) -> Array:
        """Log pi(a | s) of `[..., action_dim]` actions in [-1, 1], `[...]`."""
        return self._log_density(jnp.arctanh(jnp.clip(actions, -LARGEST_ACTION, LARGEST_ACTION)))

    def _log_density(self, raw: Array) -> Array:
        """With log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u)), which does not cancel."""
        distance = (raw - self.mean) * jnp.exp(-self.log_std)
        normal = -0.5 * distance**2 - self.log_std - 0.5 * jnp.log(2 * jnp.pi)
        return (normal - 2 * (jnp.log(2.0) - raw - jax.nn.softplus(-2 * raw))).sum(-1)


class GaussianActor(NamedTuple):
    """A stochastic policy: `[..., obs_dim]` -> a Gaussian, whose samples go through tanh."""

    network: MLP

    @classmethod
    def of(cls, config: NetworkTraining, action_dim: int) -> "GaussianActor":
        """At the sizes and the precision of a training."""
        return cls(_mlp(config, 2 * action_dim))

    def __call__(self, params: Any, observations: Array) -> Gaussian:
        """The distributions."""
        mean, log_std = jnp.split(forward(self.network, params, observations), 2, axis=-1)
        return Gaussian(mean, jnp.clip(log_std, *LOG_STD_BOUNDS))


def _mlp(config: NetworkTraining, outputs: int) -> MLP:
    return MLP(outputs, config.hidden_layers, config.hidden_units, config.product_precision)


def fresh(network: MLP, key: Array, observation_dim: int) -> Any:
    """First parameters of a network of observations. Consumes `key`."""
    return network.init(key, jnp.zeros((1, observation_dim)))


def sizes(config: NetworkTraining) -> dict[str, int]:
    """What rebuilds an actor's network, for `Trained.config`."""
    return {name: getattr(config, name) for name in SIZES}


def load(directory: Path, config: Mapping[str, Any], init: Callable[[Array], Any]) -> Any:
    """Read the parameters of every seed.

    Args:
        directory: a trained policy's folder.
        config: its configuration.
        init: key -> the parameters of one seed; only their shapes are computed.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    seeds = checkpoint.size(config, "seeds", directory)
    return checkpoint.load(
        directory, lambda: jax.vmap(init)(jax.random.split(jax.random.key(0), seeds))
    )


def deterministic_agent(directory: Path, config: Mapping[str, Any]) -> Agent:
    """The agent of an `Actor`'s folder.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    params, network, action_dim = _load_mlp(directory, config, 1)

    def act(params: Any, memory: tuple[()], step: Step, key: Array) -> tuple[Array, tuple[()]]:
        return Actor(network)(params, step.observation[None])[0], memory

    return Agent(params, action_dim, tuple, act)


def gaussian_agent(directory: Path, config: Mapping[str, Any]) -> Agent:
    """The agent of a `GaussianActor`'s folder: it acts by the mean, through tanh.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    params, network, action_dim = _load_mlp(directory, config, 2)

    def act(params: Any, memory: tuple[()], step: Step, key: Array) -> tuple[Array, tuple[()]]:
        return jnp.tanh(GaussianActor(network)(params, step.observation[None]).mean[0]), memory

    return Agent(params, action_dim, tuple, act)


def _load_mlp(
    directory: Path, config: Mapping[str, Any], outputs_per_entry: int
) -> tuple[Any, MLP, int]:
    names = "observation_dim", "action_dim", *SIZES
    observation_dim, action_dim, layers, units = (
        checkpoint.size(config, name, directory) for name in names
    )
    network = MLP(outputs_per_entry * action_dim, layers, units)
    params = load(directory, config, lambda key: fresh(network, key, observation_dim))
    return params, network, action_dim
