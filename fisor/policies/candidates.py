"""Networks evaluated for N candidates of each observation; what these share is computed once.

The functions are those of the networks' own `__call__`, which learn: only the first layer's product
is split into that of the observation, of the noise level, and of the candidate.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fisor.nn.networks import forward, mish, product
from fisor.policies.diffusion import Predict
from fisor.policies.score_network import FourierFeatures, ScoreNetwork

Array = jax.Array


def rounded(params: Any, precision: str) -> Any:
    """Parameters with their kernels stored as products of this precision read them.

    A bfloat16 kernel is half as many bytes to read, and needs no rounding in each call. They are
    rounded on the host, where each shape of array is no program to start.

    Args:
        params: of networks.
        precision: of `networks.product`.
    """
    if precision != "bfloat16":
        return params

    def stored(path: Any, leaf: Array) -> Any:
        return np.asarray(leaf).astype(jnp.bfloat16) if path[-1].key == "kernel" else leaf

    return jax.device_put(jax.tree_util.tree_map_with_path(stored, params))


def predict_noise(
    network: ScoreNetwork, params: Any, observations: Array, N: int, precision: str
) -> Predict:
    """z_theta for N candidates of each observation, for `diffusion.SAMPLERS`.

    Args:
        network: its sizes.
        params: its parameters, `rounded` or not.
        observations: `[B, obs_dim]`.
        N: candidates of each; an observation's are consecutive rows.
        precision: of every layer's `networks.product`.

    Returns:
        (noisy actions `[B * N, action_dim]`, time `[B * N]`, which must be equal in all rows) ->
        the noise in them, `[B * N, action_dim]`.
    """
    layers = params["params"]
    denses = [layers[f"Dense_{i}"] for i in range(5 + 2 * network.blocks)]
    first_time, level, second_time, first, *of_blocks, last = denses

    every_level = jnp.arange(1, network.levels + 1, dtype=jnp.float32)[:, None]
    features = forward(FourierFeatures(), {"params": layers["FourierFeatures_0"]}, every_level)
    encoded = _layer(second_time, mish(_layer(first_time, features, precision)), precision)
    levels = product(encoded, level["kernel"], precision)

    of_action, of_observation = jnp.split(first["kernel"], [network.action_dim])
    shared = product(observations, of_observation, precision) + first["bias"][None]

    def predict(noisy: Array, time: Array) -> Array:
        of_rows = jnp.repeat(shared + levels[time[0] - 1][None], N, axis=0)
        x = of_rows + product(noisy, of_action, precision)
        for block in range(network.blocks):
            norm = {"params": layers[f"LayerNorm_{block}"]}
            inner = mish(_layer(of_blocks[2 * block], forward(nn.LayerNorm(), norm, x), precision))
            x = x + _layer(of_blocks[2 * block + 1], inner, precision)
        return _layer(last, mish(x), precision)

    return predict


def action_values(params: Any, observations: Array, actions: Array) -> Array:
    """Both values of a `TwinQ` for N actions of each observation, in float32.

    Args:
        params: its parameters.
        observations: `[B, obs_dim]`.
        actions: `[B, N, action_dim]`.

    Returns:
        `[2, B, N]`.
    """
    (members,) = params["params"].values()

    def of_member(layers: Any) -> Array:
        first, *others = (layers[f"Dense_{i}"] for i in range(len(layers)))
        of_observation, of_action = jnp.split(first["kernel"], [observations.shape[-1]])
        shared = product(observations, of_observation) + first["bias"][None]
        x = shared[:, None] + product(actions, of_action)
        for layer in others:
            x = _layer(layer, nn.relu(x), "float32")
        return x.squeeze(-1)

    return jax.vmap(of_member)(members)


def _layer(params: Any, inputs: Array, precision: str) -> Array:
    bias = params["bias"].reshape((1,) * (inputs.ndim - 1) + (-1,))
    return product(inputs, params["kernel"], precision) + bias
