"""The residual score network of the released code: z_theta of Eq. 14."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fisor.nn.dropout import Dropout
from fisor.nn.networks import FLOAT32, dense, mish


class FourierFeatures(nn.Module):
    """Learned Fourier features of the noise level: `[..., 1]` -> `[..., features]`."""

    features: int = 64

    @nn.compact
    def __call__(self, time: jax.Array) -> jax.Array:
        """Cosines and sines of `time` `[..., 1]` at learned frequencies."""
        shape = (time.shape[-1], self.features // 2)
        frequencies = self.param("frequencies", nn.initializers.normal(0.2), shape)
        angles = jnp.matmul(2 * jnp.pi * time, frequencies, precision=FLOAT32)
        return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


class ScoreNetwork(nn.Module):
    """z_theta(a_t, s, t) of Eq. 14: residual blocks with layer norm, dropout and Mish.

    Attributes:
        action_dim: entries of an action.
        levels: T, the noise levels that there are.
        blocks: residual blocks (3 in the released code).
        units: width of the residual stream (256); a block's inner layer is four times as wide.
        dropout: share of a block's inputs that is dropped in training (0.1).
        product_precision: of every layer's `product`.
        time_units: widths of the encoder of the noise level.
    """

    action_dim: int
    levels: int
    blocks: int
    units: int
    dropout: float
    product_precision: str = "float32"
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
        layer = partial(dense, precision=self.product_precision)
        # There are only T noise levels: they are encoded once and not row by row. The first layer's
        # product of (action, observation, encoding) is split accordingly.
        every_level = jnp.arange(1, self.levels + 1, dtype=jnp.float32)[:, None]
        encoded = mish(layer(self.time_units[0])(FourierFeatures()(every_level)))
        encoded = layer(self.units, use_bias=False)(layer(self.time_units[1])(encoded))
        x = layer(self.units)(jnp.concatenate([noisy_actions, observations], axis=-1))
        own_level = jax.nn.one_hot(time - 1, self.levels)
        x = x + jnp.matmul(own_level, encoded, precision=FLOAT32)
        for _ in range(self.blocks):
            inner = Dropout(self.dropout)(x, training)
            # What is inside this Mish is computed anew for the gradient: it is four times as wide
            # as the rest, and to keep several arrays of it takes longer.
            inner = jax.checkpoint(mish)(layer(4 * self.units)(nn.LayerNorm()(inner)))
            x = x + layer(self.units)(inner)
        return layer(self.action_dim)(mish(x))

    def init_params(self, key: jax.Array, observation_dim: int) -> Any:
        """Fresh parameters. Consumes `key`."""
        rows = jnp.zeros((1, observation_dim)), jnp.zeros((1, self.action_dim))
        return self.init(key, *rows, jnp.ones(1, jnp.int32))
