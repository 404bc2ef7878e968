"""A trained critic: read from a folder, and its values."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from fisor.nn import checkpoint
from fisor.nn.networks import ScalarMLP, TwinQ, forward

Array = jax.Array


class CriticNetworks(NamedTuple):
    """The two networks' definitions; their parameters are passed in."""

    q: TwinQ
    v: ScalarMLP

    @classmethod
    def of_size(
        cls, hidden_layers: int, hidden_units: int, product_precision: str = "float32"
    ) -> Self:
        """Networks with `hidden_layers` ReLU layers of `hidden_units`."""
        sizes = hidden_layers, hidden_units, product_precision
        return cls(TwinQ(*sizes), ScalarMLP(*sizes))

    def init_params(self, key: Array, observation_dim: int, action_dim: int) -> tuple[Any, Any]:
        """Fresh parameters of Q and V. Consumes `key`."""
        q_key, v_key = jax.random.split(key)
        observation, action = jnp.zeros((1, observation_dim)), jnp.zeros((1, action_dim))
        return self.q.init(q_key, observation, action), self.v.init(v_key, observation)


class TrainedCritic(NamedTuple):
    """A critic read back: definitions, and parameters stacked along a leading `[seeds]` axis."""

    networks: CriticNetworks
    q: Any
    v: Any
    config: dict[str, Any]

    def values(self, observations: np.ndarray) -> np.ndarray:
        """V of `[n, obs_dim]` observations for every seed, `[seeds, n]`."""
        apply = jax.jit(jax.vmap(partial(forward, self.networks.v), in_axes=(0, None)))
        return np.asarray(apply(self.v, jnp.asarray(observations)))


def load(directory: str | Path) -> TrainedCritic:
    """Read a critic that `fisor.critics.pair.save` wrote.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    config = checkpoint.load_config(directory)
    sizes = [
        checkpoint.size(config, name, directory)
        for name in ("seeds", "observation_dim", "action_dim", "hidden_layers", "hidden_units")
    ]
    seeds, observation_dim, action_dim, hidden_layers, hidden_units = sizes
    networks = CriticNetworks.of_size(hidden_layers, hidden_units)

    def template() -> dict[str, Any]:
        keys = jax.random.split(jax.random.key(0), seeds)
        q, v = jax.vmap(lambda key: networks.init_params(key, observation_dim, action_dim))(keys)
        return {"q": q, "v": v}

    params = checkpoint.load(directory, template)
    return TrainedCritic(networks, params["q"], params["v"], config)
