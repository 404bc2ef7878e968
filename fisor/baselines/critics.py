"""Action values of rewards and of costs, trained side by side as one batched product."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fisor.config.baseline import NetworkTraining
from fisor.nn.networks import EnsembleQ, forward

Array = jax.Array


class Critics(NamedTuple):
    """As many networks of rewards as of costs, in one ensemble: the rewards' come first."""

    network: EnsembleQ

    @classmethod
    def of(cls, config: NetworkTraining, of_each: int) -> "Critics":
        """At the sizes and the precision of a training, `of_each` for rewards and for costs."""
        sizes = config.hidden_layers, config.hidden_units, config.product_precision
        return cls(EnsembleQ(*sizes, members=2 * of_each))

    def fresh(self, key: Array, observation_dim: int, action_dim: int) -> Any:
        """First parameters. Consumes `key`."""
        return self.network.init(key, jnp.zeros((1, observation_dim)), jnp.zeros((1, action_dim)))

    def __call__(self, params: Any, observations: Array, actions: Array) -> tuple[Array, Array]:
        """Q_r and Q_c, `[of_each, ...]`, of `[..., obs_dim]` and `[..., action_dim]`."""
        values = forward(self.network, params, observations, actions)
        rewards, costs = jnp.split(values, 2)
        return rewards, costs

    def lowest(self, params: Any, observations: Array, actions: Array) -> tuple[Array, Array]:
        """The minimum over the networks of rewards, and over those of costs, `[...]` each."""
        rewards, costs = self(params, observations, actions)
        return rewards.min(axis=0), costs.min(axis=0)

    def of_costs(self, params: Any, observations: Array, actions: Array) -> Array:
        """Q_c alone, `[of_each, ...]`."""
        of_each = self.network.members // 2
        costs = jax.tree.map(lambda leaf: leaf[of_each:], params)
        return forward(self.network.clone(members=of_each), costs, observations, actions)


def regression_loss(values: Array, target: Array) -> Array:
    """(Q - y)^2, mean over the batch, sum over the networks: `[members, B]`, `[B]` -> `[]`."""
    return jnp.square(values - target[None]).mean(axis=1).sum()
