"""The network of a one-step policy: an action from a state and a sampler's noise."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fisor.nn.networks import MLP, forward
from fisor.policies import diffusion

Array = jax.Array


class OneStepNetwork(nn.Module):
    """f(s, z): an action from an observation and the sampler's noise, by ReLU layers.

    Attributes:
        action_dim: entries of an action.
        levels: T of the teacher.
        sampler: the teacher's, whose noise is z.
        layers: hidden layers.
        units: of each.
        product_precision: of every layer's `networks.product`.
    """

    action_dim: int
    levels: int
    sampler: str
    layers: int
    units: int
    product_precision: str = "float32"

    @nn.compact
    def __call__(self, observations: Array, noise: Array) -> Array:
        """Actions, not yet cut to [-1, 1].

        Args:
            observations: `[B, obs_dim]`.
            noise: `[B, draws, action_dim]`, from `draw_noise`.

        Returns:
            `[B, action_dim]`.
        """
        network = MLP(self.action_dim, self.layers, self.units, self.product_precision)
        flat = noise.reshape(noise.shape[0], -1)
        return network(jnp.concatenate([observations, flat], axis=-1))

    def draw_noise(self, key: Array, rows: int) -> Array:
        """The noise that the teacher's sampler draws by this key. Consumes `key`."""
        of_noise = diffusion.OF_NOISE[self.sampler]
        return of_noise.noise(key, self.levels, (rows, self.action_dim))

    def init_params(self, key: Array, observation_dim: int) -> Any:
        """Fresh parameters. Consumes `key`."""
        noise_key, own_key = jax.random.split(key)
        return self.init(own_key, jnp.zeros((1, observation_dim)), self.draw_noise(noise_key, 1))


def sample(network: OneStepNetwork, params: Any, observations: Array, key: Array) -> Array:
    """An action for each of `[B, obs_dim]` observations, `[B, action_dim]`, cut to [-1, 1].

    It approximates the one that the teacher's sampler draws by the same key. Consumes `key`.
    """
    noise = network.draw_noise(key, observations.shape[0])
    return jnp.clip(forward(network, params, observations, noise), -1.0, 1.0)
