"""The Gaussian policy of the ablation without diffusion (Table 3): weighted log-likelihood.

A conventional one as in implicit Q-learning: the paper and the released code say nothing of it.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fisor.data.transitions import Transitions
from fisor.nn.dropout import Dropout
from fisor.nn.networks import dense, forward

Array = jax.Array

LOG_STD_BOUNDS = -5.0, 2.0


class GaussianNetwork(nn.Module):
    """Mean and spread of the actions in a state: ReLU layers with dropout.

    Attributes:
        action_dim: entries of an action.
        layers: hidden layers.
        units: of each.
        dropout: share of a layer's outputs that is dropped in training.
        product_precision: of every layer's `networks.product`.
    """

    action_dim: int
    layers: int
    units: int
    dropout: float
    product_precision: str = "float32"

    @nn.compact
    def __call__(self, observations: Array, training: bool = False) -> Array:
        """Mean, within (-1, 1), and logarithm of the standard deviation.

        Args:
            observations: `[B, obs_dim]`.
            training: whether dropout is on (it needs the rng `dropout`).

        Returns:
            `[2, B, action_dim]`.
        """
        initial = nn.initializers.lecun_normal()
        layer = partial(dense, precision=self.product_precision, kernel_init=initial)
        x = observations
        for _ in range(self.layers):
            x = nn.relu(layer(self.units)(x))
            x = Dropout(self.dropout)(x, training)
        mean = jnp.tanh(layer(self.action_dim)(x))
        return jnp.stack([mean, jnp.clip(layer(self.action_dim)(x), *LOG_STD_BOUNDS)])

    def init_params(self, key: Array, observation_dim: int) -> Any:
        """Fresh parameters. Consumes `key`."""
        return self.init(key, jnp.zeros((1, observation_dim)))


def negative_log_likelihood(
    network: GaussianNetwork, params: Any, rows: Transitions, key: Array
) -> Array:
    """-log pi(a | s) of each row, less the constant; dropout is on. Consumes `key`.

    Weighed by w(s, a) and minimised, it draws the policy of Theorem 1 from the data, as Eq. 14 does
    for the diffusion.

    Returns:
        `[B]`.
    """
    mean, log_std = forward(
        network, params, rows.observations, training=True, rngs={"dropout": key}
    )
    distance = (rows.actions - mean) * jnp.exp(-log_std)
    return (0.5 * distance**2 + log_std).sum(-1)


def sample(network: GaussianNetwork, params: Any, observations: Array, key: Array) -> Array:
    """An action for each of `[B, obs_dim]` observations, `[B, action_dim]`, cut to [-1, 1].

    Consumes `key`.
    """
    mean, log_std = forward(network, params, observations)
    drawn = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
    return jnp.clip(drawn, -1.0, 1.0)
