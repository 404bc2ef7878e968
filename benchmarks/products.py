"""The matrix products of a function, and a program that does exactly these and nothing else.

Other work of a training step is compared with them: no implementation of the same step can do
without its products.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Primitive
from jax.interpreters.partial_eval import dce_jaxpr

PRODUCTS = "dot_general", "conv_general_dilated"
ONCE = "jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "checkpoint", "shard_map"


class Product(NamedTuple):
    """A product as it stands in a function.

    Attributes:
        primitive: `dot_general`, or the convolution.
        operands: shapes and types of both.
        params: what else the primitive is told: axes, precision, ...
        times: how often one call of the function does it.
    """

    primitive: Primitive
    operands: tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]
    params: dict[str, Any]
    times: int

    def do(self, *operands: jax.Array) -> jax.Array:
        """Once, with these operands."""
        return self.primitive.bind(*operands, **self.params)

    @property
    def operations(self) -> float:
        """Multiplications and additions, of all times."""
        out, (left, right) = jax.eval_shape(self.do, *self.operands), self.operands
        if self.primitive.name == "dot_general":
            (over, _), _ = self.params["dimension_numbers"]
            each = math.prod(left.shape[axis] for axis in over)
        else:
            each = right.size // right.shape[self.params["dimension_numbers"].rhs_spec[0]]
        return 2.0 * out.size * each * self.times


def merged(products: Iterable[Product]) -> list[Product]:
    """The same with equal ones as one that is done more often."""
    times: dict[Any, int] = {}
    first: dict[Any, Product] = {}
    for product in products:
        kind = repr(product._replace(times=0))
        first.setdefault(kind, product)
        times[kind] = times.get(kind, 0) + product.times
    return [product._replace(times=times[kind]) for kind, product in first.items()]


def products_of(function: Callable, *arguments: Any) -> list[Product]:
    """The products whose results a function's outputs need, within loops and derivatives, too.

    Args:
        function: of arrays.
        arguments: its arguments, or their shapes and types.

    Raises:
        ValueError: how often a product is done depends on values.
    """
    traced = jax.make_jaxpr(function)(*arguments).jaxpr
    needed, _ = dce_jaxpr(traced, [True] * len(traced.outvars))
    return merged(_within(needed, 1))


def _within(jaxpr: Jaxpr, times: int) -> Iterator[Product]:
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name in PRODUCTS:
            operands: list[Any] = [variable.aval for variable in equation.invars]
            left, right = (jax.ShapeDtypeStruct(each.shape, each.dtype) for each in operands)
            yield Product(equation.primitive, (left, right), params, times)
            continue
        repeated = times * params["length"] if name == "scan" else times
        for inner in _jaxprs(params.values()):
            found = list(_within(inner, repeated))
            if found and name not in (*ONCE, "scan"):
                raise ValueError(f"how often the products within `{name}` are done is not known")
            yield from found


def _jaxprs(values: Any) -> Iterator[Jaxpr]:
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _jaxprs(value)
        elif isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value


def operands(products: Sequence[Product]) -> tuple[list[jax.Array], list[jax.Array]]:
    """Random left and right operands for each product."""
    keys = jax.random.split(jax.random.key(0), 2 * len(products)).reshape(-1, 2)
    sides = [
        [
            jax.random.normal(key, shape.shape).astype(shape.dtype)
            for key, shape in zip(pair, product.operands, strict=True)
        ]
        for pair, product in zip(keys, products, strict=True)
    ]
    return [left for left, _ in sides], [right for _, right in sides]


def in_a_row(products: Sequence[Product], repeats: int) -> Callable:
    """A function of the operands that does all products, each `repeats` times over.

    Each time depends on the time before, and each product on the last, by one number that is
    written into the left operand: so the compiler can merge none, move none out of its loop, and
    run no two side by side. The results go through a barrier: else no more of them than that
    number would need to be computed. As one product's times follow each other, its operands are in
    the caches if they fit there.

    Args:
        products: of one call of a function.
        repeats: how many calls' products.

    Returns:
        (left operands, right operands) -> (left operands, the number).
    """

    def all_products(
        lefts: list[jax.Array], rights: list[jax.Array]
    ) -> tuple[list[jax.Array], jax.Array]:
        number, changed = jnp.zeros(()), []
        for product, first, right in zip(products, lefts, rights, strict=True):

            def once(
                carried: Any, _: None, product: Product = product, right: jax.Array = right
            ) -> tuple[Any, None]:
                left, number = carried
                left = left.at[(0,) * left.ndim].set(number.astype(left.dtype))
                result = jax.lax.optimization_barrier(product.do(left, right))
                number = jnp.clip(result[(0,) * result.ndim].astype(number.dtype), -1, 1)
                return (left, number), None

            length = repeats * product.times
            (left, number), _ = jax.lax.scan(once, (first, number), None, length=length)
            changed.append(left)
        return changed, number

    return all_products


def work(products: Sequence[Product], repeats: int) -> Callable[[], Any]:
    """A function that does all products, each `repeats` times over, on random operands."""
    lefts, rights = operands(products)
    compiled = jax.jit(in_a_row(products, repeats), donate_argnums=0)
    kept = {"lefts": lefts}

    def do() -> jax.Array:
        kept["lefts"], number = compiled(kept["lefts"], rights)
        return number

    return do
