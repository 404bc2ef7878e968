"""Layers and their products, and the MLPs of values (Table 5)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint

_kernel_init = nn.initializers.xavier_uniform()

# Precisions of products of float32 arrays, for devices that offer several: by default JAX takes the
# fastest one, which is tensorfloat32 on GPUs.
FLOAT32, TENSORFLOAT32 = jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGH


# XLA's option not to fuse, on CPUs, the operations around a product into the library call for it.
PRODUCTS_APART = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def product(inputs: jax.Array, kernel: jax.Array, precision: str = "float32") -> jax.Array:
    """The product of every layer, `[..., n]` by `[n, m]` -> `[..., m]`, all sums in float32.

    It has its own derivative, so that the kernel's gradient has the kernel's layout (JAX's rule
    gives its transpose, which the optimiser would read with strides), and so that `precision` also
    applies to both backward products.

    Args:
        inputs: `[..., n]` float32.
        kernel: `[n, m]` float32.
        precision: what all three products' operands are rounded to: `float32` (not at all),
            `tensorfloat32` (by GPUs that have it; others compute in float32) or `bfloat16`.
    """
    return _contract(inputs, kernel, precision, (inputs.ndim - 1,), (0,))


def _contract(
    a: jax.Array, b: jax.Array, precision: str, a_axes: Sequence[int], b_axes: Sequence[int]
) -> jax.Array:
    """The product of float32 arrays, summed over axes of each."""
    kind = {"float32": FLOAT32, "tensorfloat32": TENSORFLOAT32, "bfloat16": None}[precision]
    if precision == "bfloat16":
        a, b = a.astype(precision), b.astype(precision)
    over = (a_axes, b_axes), ((), ())
    return jax.lax.dot_general(a, b, over, kind, preferred_element_type=jnp.float32)


def _product_forward(
    inputs: jax.Array, kernel: jax.Array, precision: str
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return product(inputs, kernel, precision), (inputs, kernel)


def _product_backward(
    precision: str, kept: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = kept
    of_inputs = _contract(gradient, kernel, precision, (gradient.ndim - 1,), (1,))
    # On CPUs the product is 1.4 times faster with the wider operand on the right. Without the
    # barriers, XLA undoes the exchange.
    exchanged = inputs.shape[-1] > gradient.shape[-1]
    narrow, wide = (gradient, inputs) if exchanged else (inputs, gradient)
    of_kernel = _sum_over_rows(narrow, wide, precision)
    if exchanged:
        of_kernel = jax.lax.optimization_barrier(jax.lax.optimization_barrier(of_kernel).T)
    return of_inputs, of_kernel


def _sum_over_rows(narrow: jax.Array, wide: jax.Array, precision: str) -> jax.Array:
    """`[..., n]` and `[..., m]` -> `[n, m]`."""
    rows = tuple(range(narrow.ndim - 1))
    if precision != "bfloat16" or jax.default_backend() != "cpu":
        return _contract(narrow, wide, precision, rows, rows)
    # On CPUs a bfloat16 product over rows is no faster than float32. One over columns is, if the
    # layout is fixed beforehand; a plain transpose would be folded back into the product.
    narrow, wide = (operand.reshape(-1, operand.shape[-1]) for operand in (narrow, wide))
    columns = with_layout_constraint(narrow.astype(precision).T, Layout((0, 1)))
    return _contract(columns, wide, precision, (1,), (0,))


product.defvjp(_product_forward, _product_backward)


def dense(units: int, precision: str, kernel_init: Any = _kernel_init, **options: Any) -> nn.Dense:
    """A layer whose product is `product`; `options` are `nn.Dense`'s."""

    def dot_general(inputs: jax.Array, kernel: jax.Array, *_: Any, **__: Any) -> jax.Array:
        return product(inputs, kernel, precision)  # flax asks for exactly this contraction

    return nn.Dense(units, kernel_init=kernel_init, dot_general=dot_general, **options)


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


class MLP(nn.Module):
    """ReLU layers and a linear one: `[..., inputs]` -> `[..., outputs]`."""

    outputs: int
    hidden_layers: int
    hidden_units: int
    product_precision: str = "float32"

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """The outputs for each row of `inputs` `[..., inputs]`."""
        return _layers(inputs, self.outputs, self)


class ScalarMLP(nn.Module):
    """The same with one scalar output: `[..., inputs]` -> `[...]`."""

    hidden_layers: int
    hidden_units: int
    product_precision: str = "float32"

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """The value of each row of `inputs` `[..., inputs]`, `[...]`."""
        return _layers(inputs, 1, self).squeeze(-1)


def _layers(inputs: jax.Array, outputs: int, sizes: MLP | ScalarMLP) -> jax.Array:
    x = inputs
    for _ in range(sizes.hidden_layers):
        x = nn.relu(dense(sizes.hidden_units, sizes.product_precision)(x))
    return dense(outputs, sizes.product_precision)(x)


class EnsembleQ(nn.Module):
    """Action values of the same inputs, as one batched product: -> `[members, ...]`."""

    hidden_layers: int
    hidden_units: int
    product_precision: str = "float32"
    members: int = 2

    @nn.compact
    def __call__(self, observations: jax.Array, actions: jax.Array) -> jax.Array:
        """All values of `[..., obs_dim]` observations and `[..., action_dim]` actions."""
        networks = nn.vmap(
            ScalarMLP,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=None,
            out_axes=0,
            axis_size=self.members,
        )
        inputs = jnp.concatenate([observations, actions], axis=-1)
        return networks(self.hidden_layers, self.hidden_units, self.product_precision)(inputs)


class TwinQ(EnsembleQ):
    """Two of them: -> `[2, ...]`."""
