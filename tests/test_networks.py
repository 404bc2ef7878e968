"""Layers: products in float32 and from bfloat16 operands, forward and backward; dropout."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from fisor.config.params import Params
from fisor.critics import pair
from fisor.data.transitions import Transitions
from fisor.nn.dropout import dropped
from fisor.nn.networks import product
from fisor.policies import regression

SHAPES = {"widening": ((5, 3), 4), "narrowing": ((5, 6), 2), "of many axes": ((2, 5, 6), 2)}


def rounded(array: np.ndarray, precision: str) -> np.ndarray:
    """As an operand of that precision, in float64."""
    to = ml_dtypes.bfloat16 if precision == "bfloat16" else np.float32
    return array.astype(to).astype(np.float64)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", SHAPES)
def test_product_and_both_gradients(name: str, precision: str) -> None:
    """Value and gradients are the products of the rounded operands, also under `vmap`.

    Oracle: NumPy's products in float64 of operands rounded by ml_dtypes.
    """
    shape, units = SHAPES[name]
    draw = np.random.default_rng(0)
    x, gradient = (draw.standard_normal((2, *s), np.float32) for s in (shape, (*shape[:-1], units)))
    kernel = draw.standard_normal((2, shape[-1], units), np.float32)

    def both(x: Any, kernel: Any, gradient: Any) -> Any:
        value, back = jax.vjp(lambda x, kernel: product(x, kernel, precision), x, kernel)
        return value, *back(gradient)

    found = jax.jit(jax.vmap(both))(x, kernel, gradient)
    for each in range(2):
        a, k, g = (rounded(array[each], precision) for array in (x, kernel, gradient))
        expected = a @ k, g @ k.T, a.reshape(-1, a.shape[-1]).T @ g.reshape(-1, units)
        for value, oracle in zip(found, expected, strict=True):
            assert value.dtype == jnp.float32
            np.testing.assert_allclose(value[each], oracle, rtol=1e-5, atol=1e-5)


def test_sums_are_taken_in_float32() -> None:
    """999 ones add up to 999 from bfloat16 operands, forward and back.

    Oracle: bfloat16 itself has no 999; above 256 it counts in twos, then in fours.
    """
    ones = jnp.ones((999, 999))
    value, back = jax.vjp(lambda x, kernel: product(x, kernel, "bfloat16"), ones, ones)
    for array in (value, *back(ones)):
        np.testing.assert_array_equal(array, np.full((999, 999), 999.0))


def test_all_networks_take_their_precision_from_the_parameters(
    small_params: Callable[..., Params], random_transitions: Callable[..., Transitions]
) -> None:
    """Each network's every product of rows is of `product_precision`'s operands, and no other.

    Oracle: the operands' types in the traced programs.
    """
    rows = random_transitions(3)
    key = jax.random.key(0)
    for precision in ("float32", "bfloat16"):
        for kind in ("diffusion", "gaussian"):
            params = small_params(product_precision=precision, policy=kind)
            networks: dict[Any, tuple] = {
                regression.policy_network(2, params): (
                    (rows.observations, rows.actions, np.ones(3, np.int32))
                    if kind == "diffusion"
                    else (rows.observations,)
                ),
                pair.training_networks(params).q: (rows.observations, rows.actions),
                pair.training_networks(params).v: (rows.observations,),
            }
            for network, inputs in networks.items():
                shapes = jax.eval_shape(network.init, key, *inputs)
                text = str(jax.make_jaxpr(network.apply)(shapes, *inputs))
                products = text.count("dot_general[")
                rounding = text.count("new_dtype=bfloat16")
                # One operand more, the encoding of T levels, is no layer's.
                assert products >= 3
                if precision == "float32":
                    assert rounding == 0
                else:
                    of_layers = sum(
                        path[-1].key == "kernel"
                        for path, _ in jax.tree_util.tree_leaves_with_path(shapes)
                    )
                    assert rounding == 2 * of_layers


@pytest.mark.parametrize("shape", [(40000,), (333, 121)])
def test_dropout_keeps_the_mean(shape: tuple[int, ...]) -> None:
    """A share of the entries is 0, the others are scaled up, and neighbours are independent."""
    kept = np.asarray(dropped(jnp.ones(shape), 0.3, jax.random.key(0))).ravel()
    assert np.unique(kept).tolist() == pytest.approx([0, 1 / 0.7])
    error = 4 * np.sqrt(0.3 * 0.7 / kept.size)  # four standard deviations
    assert (kept == 0).mean() == pytest.approx(0.3, abs=error)
    both = (kept[1:] == 0) & (kept[:-1] == 0)
    assert both.mean() == pytest.approx(0.09, abs=error)
