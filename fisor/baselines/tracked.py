"""What methods with action values share: networks with a slowly moving target, twins among them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fisor.config.baseline import NetworkTraining
from fisor.nn.networks import TwinQ, forward
from fisor.nn.optimiser import Learner, begin, descend

Array = jax.Array


class Tracked(NamedTuple):
    """A network in training, and the moving average of its parameters.

    Attributes:
        learner: the network.
        target: the average, of which regression targets are made.
    """

    learner: Learner
    target: Any

    @property
    def params(self) -> Any:
        """The network's parameters."""
        return self.learner.params

    @classmethod
    def begin(cls, adam: optax.GradientTransformation, params: Any) -> "Tracked":
        """Before the first step: the average is the network itself."""
        return cls(begin(adam, params), params)

    def follow(self, soft_update: float) -> "Tracked":
        """With the average moved by a share towards the network."""
        return self._replace(
            target=optax.incremental_update(self.learner.params, self.target, soft_update)
        )


def twins(config: NetworkTraining) -> TwinQ:
    """Two action values, at the sizes and the precision of a training."""
    return TwinQ(config.hidden_layers, config.hidden_units, config.product_precision)


def fresh_twins(q: TwinQ, key: Array, observation_dim: int, action_dim: int) -> Any:
    """First parameters of twins. Consumes `key`."""
    return q.init(key, jnp.zeros((1, observation_dim)), jnp.zeros((1, action_dim)))


def regress(
    adam: optax.GradientTransformation,
    q: TwinQ,
    critic: Tracked,
    observations: Array,
    actions: Array,
    target: Array,
) -> tuple[Tracked, Array, Array]:
    """One gradient step of both twins towards the same target, by the squared error.

    Args:
        adam: their optimiser.
        q: their definition.
        critic: before the step.
        observations: `[B, obs_dim]`.
        actions: `[B, action_dim]`.
        target: `[B]`, through which no gradient goes.

    Returns:
        The critic after the step, its average as before; the loss and the mean value before it.
    """

    def loss(params: Any) -> tuple[Array, Array]:
        values = forward(q, params, observations, actions)
        return jnp.square(values - target[None]).mean(), values.mean()

    learner, value, mean = descend(adam, critic.learner, loss)
    return critic._replace(learner=learner), value, mean
