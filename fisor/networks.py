"""Networks: the critics' MLPs (Table 5) and the residual score network of the released code."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

_kernel_init = nn.initializers.xavier_uniform()


def mish(x: jax.Array) -> jax.Array:
    """Mish, x tanh(softplus(x)), through one exponential: several times cheaper than through two.

    With n = e^x (e^x + 2), tanh(softplus(x)) = n / (n + 2); above 20 it is 1 in float32.
    """
    exponential = jnp.exp(jnp.minimum(x, 20.0))
    n = exponential * (exponential + 2.0)
    return x * (n / (n + 2.0))


def forward(module: nn.Module, params: Any, *inputs: jax.Array, **options: Any) -> jax.Array:
    """`module.apply` where the output is one array (flax's type also allows changed variables)."""
    output = module.apply(params, *inputs, **options)
    assert isinstance(output, jax.Array)
    return output


class ScalarMLP(nn.Module):
    """ReLU layers and one scalar output: `[..., inputs]` -> `[...]`."""

    hidden_layers: int
    hidden_units: int

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """The value of each row of `inputs` `[..., inputs]`, `[...]`."""
        x = inputs
        for _ in range(self.hidden_layers):
            x = nn.relu(nn.Dense(self.hidden_units, kernel_init=_kernel_init)(x))
        return nn.Dense(1, kernel_init=_kernel_init)(x).squeeze(-1)


class TwinQ(nn.Module):
    """Two action values of the same inputs, as one batched product: -> `[2, ...]`."""

    hidden_layers: int
    hidden_units: int

    @nn.compact
    def __call__(self, observations: jax.Array, actions: jax.Array) -> jax.Array:
        """Both values of `[..., obs_dim]` observations and `[..., action_dim]` actions."""
        twins = nn.vmap(
            ScalarMLP,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=None,
            out_axes=0,
            axis_size=2,
        )
        inputs = jnp.concatenate([observations, actions], axis=-1)
        return twins(self.hidden_layers, self.hidden_units)(inputs)


class FourierFeatures(nn.Module):
    """Learned Fourier features of the noise level: `[..., 1]` -> `[..., features]`."""

    features: int = 64

    @nn.compact
    def __call__(self, time: jax.Array) -> jax.Array:
        """Cosines and sines of `time` `[..., 1]` at learned frequencies."""
        shape = (time.shape[-1], self.features // 2)
        frequencies = self.param("frequencies", nn.initializers.normal(0.2), shape)
        angles = 2 * jnp.pi * time @ frequencies
        return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


class ScoreNetwork(nn.Module):
    """z_theta(a_t, s, t) of Eq. 14: residual blocks with layer norm, dropout and Mish.

    Attributes:
        action_dim: entries of an action.
        levels: T, the noise levels that there are.
        blocks: residual blocks (3 in the released code).
        units: width of the residual stream (256); a block's inner layer is four times as wide.
        dropout: share of a block's inputs that is dropped in training (0.1).
        time_units: widths of the encoder of the noise level.
    """

    action_dim: int
    levels: int
    blocks: int
    units: int
    dropout: float
    time_units: Sequence[int] = (128, 128)

    @nn.compact
    def __call__(
        self,
        observations: jax.Array,
        noisy_actions: jax.Array,
        time: jax.Array,
        training: bool = False,
    ) -> jax.Array:
        """The noise in `noisy_actions`.

        Args:
            observations: `[B, obs_dim]`.
            noisy_actions: `[B, action_dim]`.
            time: `[B]` noise level, 1 to T.
            training: whether dropout is on (it needs the rng `dropout`).

        Returns:
            `[B, action_dim]`.
        """
        dense = partial(nn.Dense, kernel_init=_kernel_init)
        # There are only T noise levels: they are encoded once and not row by row. The first layer's
        # product of (action, observation, encoding) is split accordingly.
        every_level = jnp.arange(1, self.levels + 1, dtype=jnp.float32)[:, None]
        encoded = mish(dense(self.time_units[0])(FourierFeatures()(every_level)))
        encoded = dense(self.units, use_bias=False)(dense(self.time_units[1])(encoded))
        x = dense(self.units)(jnp.concatenate([noisy_actions, observations], axis=-1))
        x = x + jax.nn.one_hot(time - 1, self.levels) @ encoded
        for _ in range(self.blocks):
            inner = nn.Dropout(self.dropout, deterministic=not training)(x)
            inner = mish(dense(4 * self.units)(nn.LayerNorm()(inner)))
            x = x + dense(self.units)(inner)
        return dense(self.action_dim)(mish(x))

    def init_params(self, key: jax.Array, observation_dim: int) -> Any:
        """Fresh parameters. Consumes `key`."""
        rows = jnp.zeros((1, observation_dim)), jnp.zeros((1, self.action_dim))
        return self.init(key, *rows, jnp.ones(1, jnp.int32))
