"""Score networks with parameters that tests choose."""

from typing import Any

import jax
import numpy as np

from fisor.policies.score_network import ScoreNetwork


def nearly_the_noise(observation_dim: int, levels: int) -> tuple[ScoreNetwork, Any]:
    """A network whose samples rarely end at the bounds, and its parameters.

    An untrained network's samples mostly do, and then there is nothing to choose among. This one
    predicts about 0.8 times the noisy actions, shifted by the first entries of the observation:
    mish(u) - mish(-u) is 1.2 u near 0, and u far from it.
    """
    network = ScoreNetwork(2, levels, blocks=0, units=4, dropout=0.0)
    fresh = jax.eval_shape(
        lambda: network.init_params(jax.random.key(0), observation_dim)  # shapes alone
    )
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), fresh)
    first, last = (params["params"][name]["kernel"] for name in ("Dense_3", "Dense_4"))
    for entry in range(2):
        for unit, sign in ((2 * entry, 1.0), (2 * entry + 1, -1.0)):
            first[entry, unit] = sign
            first[2 + entry, unit] = 0.375 * sign
            last[unit, entry] = 0.7 * sign
    return network, params
