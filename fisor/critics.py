"""What Q_h, V_h and Q_r, V_r share: twin action values, a state value, a target network, Adam."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fisor import checkpoint
from fisor.networks import ScalarMLP, TwinQ, forward
from fisor.optimiser import optimiser
from fisor.params import Params
from fisor.transitions import Transitions

Array = jax.Array


class CriticState(NamedTuple):
    """What the training of one critic pair carries.

    Attributes:
        q: parameters of the twin action values.
        v: parameters of the state value.
        q_target: slowly moving average of `q`; it teaches V, weighs the policy's data and acts.
        q_optimiser: Adam's state for `q`.
        v_optimiser: Adam's state for `v`.
    """

    q: Any
    v: Any
    q_target: Any
    q_optimiser: Any
    v_optimiser: Any


class CriticNetworks(NamedTuple):
    """The two networks' definitions; their parameters are passed in."""

    q: TwinQ
    v: ScalarMLP

    @classmethod
    def of_size(
        cls, hidden_layers: int, hidden_units: int, product_precision: str = "float32"
    ) -> "CriticNetworks":
        """Networks with `hidden_layers` ReLU layers of `hidden_units`."""
        sizes = hidden_layers, hidden_units, product_precision
        return cls(TwinQ(*sizes), ScalarMLP(*sizes))

    @classmethod
    def to_train(cls, params: Params) -> "CriticNetworks":
        """Networks as `params` wants them trained."""
        return cls.of_size(params.hidden_layers, params.hidden_units, params.product_precision)

    def init_params(self, key: Array, observation_dim: int, action_dim: int) -> tuple[Any, Any]:
        """Fresh parameters of Q and V. Consumes `key`."""
        q_key, v_key = jax.random.split(key)
        observation, action = jnp.zeros((1, observation_dim)), jnp.zeros((1, action_dim))
        return self.q.init(q_key, observation, action), self.v.init(v_key, observation)


class CriticRule(NamedTuple):
    """What tells the feasibility critic from the reward critic.

    Attributes:
        twin: takes the twins' `[2, B]` to `[B]`: the maximum for Q_h, the minimum for Q_r.
        value_loss: (q, v) `[B]` -> `[B]`, Eq. 8 or Eq. 15.
        target: (batch, next value `[B]`) -> `[B]`, Eq. 9 or Eq. 16.
    """

    twin: Callable[[Array], Array]
    value_loss: Callable[[Array, Array], Array]
    target: Callable[[Transitions, Array], Array]


def init(params: Params, data: Transitions) -> Callable[[Array], CriticState]:
    """A function from a key to the fresh state of one seed, for `fit`.

    Args:
        params: the networks' sizes.
        data: anything with the dataset's observation and action sizes.
    """
    networks = CriticNetworks.to_train(params)
    adam = optimiser(params)

    def fresh(key: Array) -> CriticState:
        q, v = networks.init_params(key, data.observations.shape[-1], data.actions.shape[-1])
        return CriticState(q=q, v=v, q_target=q, q_optimiser=adam.init(q), v_optimiser=adam.init(v))

    return fresh


Update = Callable[
    [CriticState, tuple[Transitions, Any], Array], tuple[CriticState, dict[str, Array]]
]


def update(params: Params, rule: CriticRule) -> Update:
    """A function (state, batch, key) -> (state, metrics), for `fit`.

    It takes one gradient step on V, then one on Q (Algorithm 1), then moves the target a little.
    The metrics are both losses and the means of Q and V.

    Args:
        params: sizes, learning rate and soft update.
        rule: feasibility's or reward's.
    """
    networks = CriticNetworks.to_train(params)
    adam = optimiser(params)

    def step(
        state: CriticState, batch: tuple[Transitions, Any], key: Array
    ) -> tuple[CriticState, dict[str, Array]]:
        del key  # drawing the batch was all the randomness there is
        rows, _ = batch
        q_taught = rule.twin(forward(networks.q, state.q_target, rows.observations, rows.actions))

        def v_loss(v_params: Any) -> tuple[Array, Array]:
            v = forward(networks.v, v_params, rows.observations)
            return rule.value_loss(q_taught, v).mean(), v.mean()

        (v_loss_mean, v_mean), gradient = jax.value_and_grad(v_loss, has_aux=True)(state.v)
        change, v_optimiser = adam.update(gradient, state.v_optimiser)
        v = optax.apply_updates(state.v, change)

        target = rule.target(rows, forward(networks.v, v, rows.next_observations))

        def q_loss(q_params: Any) -> tuple[Array, Array]:
            q = forward(networks.q, q_params, rows.observations, rows.actions)
            return ((q - target[None]) ** 2).mean(), q.mean()

        (q_loss_mean, q_mean), gradient = jax.value_and_grad(q_loss, has_aux=True)(state.q)
        change, q_optimiser = adam.update(gradient, state.q_optimiser)
        q = optax.apply_updates(state.q, change)

        q_target = optax.incremental_update(q, state.q_target, params.soft_update)
        metrics = {"q_loss": q_loss_mean, "v_loss": v_loss_mean, "q_mean": q_mean, "v_mean": v_mean}
        return CriticState(q, v, q_target, q_optimiser, v_optimiser), metrics

    return step


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


def save(directory: str | Path, states: CriticState, config: Mapping[str, Any]) -> None:
    """Write what acting and the policy's weights need: the target Q and V of every seed."""
    checkpoint.save(directory, {"q": states.q_target, "v": states.v}, config)


def config_of(params: Params, data: Transitions) -> dict[str, Any]:
    """What rebuilds a critic's networks, for `save`."""
    return {
        "seeds": params.seeds,
        "observation_dim": data.observations.shape[-1],
        "action_dim": data.actions.shape[-1],
        "hidden_layers": params.hidden_layers,
        "hidden_units": params.hidden_units,
    }


def load(directory: str | Path) -> TrainedCritic:
    """Read a critic that `save` wrote.

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
