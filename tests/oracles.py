"""Networks in NumPy: parameters drawn without compiling anything, and the critics' values."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def drawn_params(fresh: Callable[[jax.Array], Any], seed: int, seeds: int | None = None) -> Any:
    """Parameters as `fresh` (key -> pytree) makes them, stacked for `seeds`; entries unlike zero.

    Matrices are scaled by their inputs, and biases drawn as well.
    """
    draw = np.random.default_rng(seed)

    def of_shape(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        scale = 1.5 / np.sqrt(leaf.shape[-2]) if len(leaf.shape) > 1 else 0.3
        shape = leaf.shape if seeds is None else (seeds, *leaf.shape)
        return draw.normal(0, scale, shape).astype(np.float32)

    return jax.tree.map(of_shape, jax.eval_shape(fresh, jax.random.key(0)))


def mlp(params: Any, inputs: np.ndarray) -> np.ndarray:
    """A ReLU network with one output, from flax's parameters, in float64: `[B, n]` -> `[B]`."""
    layers = params["params"]
    x = np.asarray(inputs, np.float64)
    for index in range(len(layers)):
        layer = layers[f"Dense_{index}"]
        x = x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"], np.float64)
        if index < len(layers) - 1:
            x = np.maximum(x, 0.0)
    return x[:, 0]


def twins(params: Any, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Both action values, `[2, B]`: the same network twice, each on its own slice."""
    (stacked,) = params["params"].values()
    inputs = np.concatenate([observations, actions], axis=-1)
    return np.stack(
        [
            mlp(
                {"params": {k: {n: a[i] for n, a in v.items()} for k, v in stacked.items()}}, inputs
            )
            for i in range(2)
        ]
    )
