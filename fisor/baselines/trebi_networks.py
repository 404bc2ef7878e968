"""TREBI's networks: Diffuser's temporal U-Net, and values by its encoder (Janner et al. 2022)."""

from collections.abc import Sequence
from math import gcd
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fisor.nn import networks as layers
from fisor.nn.networks import mish, product

Array = jax.Array

TAPS = 5  # steps that a convolution sees
# Uniform within 1 / sqrt(inputs), the released code's: PyTorch's default.
_kernel_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
GROUPS = 8  # of channels, each normalised by itself; fewer where one would have less than four


def convolve(
    inputs: Array, kernel: Array, stride: int, padding: tuple[int, int], precision: str
) -> Array:
    """A convolution over steps, as one product.

    On CPUs XLA's own takes 100 times as long where few steps have many channels, and with seeds
    side by side it is another kind of convolution.

    Args:
        inputs: `[B, steps, n]`.
        kernel: `[taps, n, m]`.
        stride: steps from an output to the next.
        padding: zeros before the first step and after the last.
        precision: of the product, see `fisor.nn.networks.product`.

    Returns:
        `[B, outputs, m]`.
    """
    steps, taps = inputs.shape[1], kernel.shape[0]
    before, after = padding
    outputs = (steps + before + after - taps) // stride + 1
    padded = jnp.pad(inputs, ((0, 0), padding, (0, 0)))
    # A tap that sees padding alone is left out: at one step all but one.
    used = [
        tap
        for tap in range(taps)
        if any(before <= tap + stride * output < before + steps for output in range(outputs))
    ]
    seen = [padded[:, tap : tap + stride * (outputs - 1) + 1 : stride] for tap in used]
    weights = kernel[used[0] : used[-1] + 1].reshape(-1, kernel.shape[-1])
    return product(jnp.concatenate(seen, axis=-1), weights, precision)


def convolution(
    channels: int, taps: int, precision: str, *, stride: int = 1, padding: int | None = None
) -> nn.Conv:
    """A layer that convolves by `convolve`; by default only a stride changes the steps' number."""

    def as_product(
        inputs: Array,
        kernel: Array,
        strides: Sequence[int],
        paddings: Sequence[tuple[int, int]],
        **_: Any,
    ) -> Array:
        return convolve(inputs, kernel, strides[0], paddings[0], precision)

    around = taps // 2 if padding is None else padding
    return nn.Conv(
        channels,
        (taps,),
        (stride,),
        [(around, around)],
        kernel_init=_kernel_init,
        conv_general_dilated=as_product,
    )


def dense(units: int, precision: str) -> nn.Dense:
    """A layer of `fisor.nn.networks`, as Diffuser's begins."""
    return layers.dense(units, precision, _kernel_init)


def group_norm(channels: int) -> nn.GroupNorm:
    """Over all steps and each group of channels."""
    groups = gcd(GROUPS, max(channels // 4, 1), channels)
    return nn.GroupNorm(groups, epsilon=1e-5, reduction_axes=(-2, -1))


class Embedding(nn.Module):
    """Of noise levels, sines and cosines through two layers: `[B]` int -> `[B, channels]`."""

    channels: int
    product_precision: str = "float32"

    @nn.compact
    def __call__(self, levels: Array) -> Array:
        """The embeddings."""
        half = self.channels // 2
        rates = jnp.exp(-jnp.log(1e4) / max(half - 1, 1) * jnp.arange(half, dtype=jnp.float32))
        angles = levels.astype(jnp.float32)[:, None] * rates[None]
        x = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
        x = mish(dense(4 * self.channels, self.product_precision)(x))
        return dense(self.channels, self.product_precision)(x)


class ResidualBlock(nn.Module):
    """Two convolutions beside a residual stream; the noise level enters between them."""

    channels: int
    product_precision: str = "float32"

    @nn.compact
    def __call__(self, inputs: Array, embedding: Array) -> Array:
        """`[B, steps, n]`, embedding `[B, m]` -> `[B, steps, channels]`."""
        precision = self.product_precision
        x = convolution(self.channels, TAPS, precision)(inputs)
        x = mish(group_norm(self.channels)(x))
        x = x + dense(self.channels, precision)(mish(embedding))[:, None]
        x = convolution(self.channels, TAPS, precision)(x)
        x = mish(group_norm(self.channels)(x))
        if inputs.shape[-1] != self.channels:
            inputs = dense(self.channels, precision)(inputs)
        return x + inputs


class TemporalUNet(nn.Module):
    """The planner: noisy plans `[B, steps, n]`, noise levels `[B]` -> plans `[B, steps, n]`.

    Attributes:
        channels: of each resolution, from all steps to the fewest; each has half the steps of the
            one before.
        product_precision: what products' operands are rounded to.
    """

    channels: tuple[int, ...]
    product_precision: str = "float32"

    @nn.compact
    def __call__(self, plans: Array, levels: Array) -> Array:
        """The plans without their noise."""
        precision = self.product_precision
        embedding = Embedding(self.channels[0], precision)(levels)

        def two_blocks(x: Array, channels: int) -> Array:
            for _ in range(2):
                x = ResidualBlock(channels, precision)(x, embedding)
            return x

        x = plans
        skipped: list[Array] = []
        for channels in self.channels:
            if skipped:
                x = convolution(x.shape[-1], 3, precision, stride=2)(x)
            x = two_blocks(x, channels)
            skipped.append(x)
        x = two_blocks(x, self.channels[-1])
        for channels in reversed(self.channels[:-1]):
            x = two_blocks(jnp.concatenate([x, skipped.pop()], axis=-1), channels)
            x = upsampled(x, precision)
        x = convolution(self.channels[0], TAPS, precision)(x)
        x = mish(group_norm(self.channels[0])(x))
        return dense(plans.shape[-1], precision)(x)


def upsampled(inputs: Array, precision: str) -> Array:
    """`[B, steps, n]` -> `[B, 2 steps, n]`, by a transposed convolution of 4 taps and stride 2.

    Output 2i is made of inputs i - 1 and i, output 2i + 1 of inputs i and i + 1.
    """
    batch, steps, channels = inputs.shape
    of_pairs = convolution(2 * channels, 2, precision, padding=1)(inputs)
    even, odd = of_pairs[:, :-1, :channels], of_pairs[:, 1:, channels:]
    return jnp.stack([even, odd], axis=2).reshape(batch, 2 * steps, channels)


class Value(nn.Module):
    """Noisy plans `[B, steps, n]`, noise levels `[B]` -> values `[B]`.

    Attributes:
        channels: as the planner's.
        product_precision: what products' operands are rounded to.
    """

    channels: tuple[int, ...]
    product_precision: str = "float32"

    @nn.compact
    def __call__(self, plans: Array, levels: Array) -> Array:
        """The values."""
        precision, last = self.product_precision, self.channels[-1]
        embedding = Embedding(self.channels[0], precision)(levels)
        x = plans
        for channels, blocks in (*((c, 2) for c in self.channels), (last // 2, 1), (last // 4, 1)):
            for _ in range(blocks):
                x = ResidualBlock(channels, precision)(x, embedding)
            x = convolution(channels, 3, precision, stride=2)(x)
        x = x.reshape(x.shape[0], -1)
        units = x.shape[-1] // 2
        x = mish(dense(units, precision)(jnp.concatenate([x, embedding], axis=-1)))
        return dense(1, precision)(x).squeeze(-1)


class Values(nn.Module):
    """Values of rewards and of costs to come, as batched products: -> `[B, 2]`."""

    channels: tuple[int, ...]
    product_precision: str = "float32"

    @nn.compact
    def __call__(self, plans: Array, levels: Array) -> Array:
        """V_r and V_c."""
        both = nn.vmap(
            Value,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=None,
            out_axes=-1,
            axis_size=2,
        )
        return both(self.channels, self.product_precision)(plans, levels)


def first_params(network: nn.Module, shape: tuple[int, int], key: Array) -> Any:
    """First parameters of a network of plans of a shape (steps, entries). Consumes `key`."""
    return network.init(key, jnp.zeros((1, *shape)), jnp.zeros(1, jnp.int32))


def networks(
    channels: int, multipliers: Sequence[int], precision: str = "float32"
) -> tuple[TemporalUNet, Values]:
    """The planner and the values.

    Args:
        channels: at all steps of a plan.
        multipliers: of it, one for each resolution.
        precision: what products' operands are rounded to.
    """
    each = tuple(channels * multiplier for multiplier in multipliers)
    return TemporalUNet(each, precision), Values(each, precision)
