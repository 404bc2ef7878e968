"""The training that Q_h, V_h and Q_r, V_r share: twins, a state value, a target network, Adam."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import optax

from fisor.config.critics import Critic
from fisor.critics.trained import CriticNetworks
from fisor.data.transitions import Transitions
from fisor.nn import checkpoint
from fisor.nn.networks import forward
from fisor.nn.optimiser import Learner, descend, optimiser

Array = jax.Array


class CriticState(NamedTuple):
    """What the training of one critic pair carries.

    Attributes:
        q: parameters of the twin action values.
        v: parameters of the state value.
        q_target: slow moving average of `q`; used to train V, to weight the policy's data and to
            act.
        q_optimiser: Adam's state for `q`.
        v_optimiser: Adam's state for `v`.
    """

    q: Any
    v: Any
    q_target: Any
    q_optimiser: Any
    v_optimiser: Any


class CriticRule(NamedTuple):
    """What distinguishes the feasibility critic from the reward critic.

    Attributes:
        twin: reduces the twins' `[2, B]` to `[B]`: the maximum for Q_h, the minimum for Q_r.
        value_loss: (q, v) `[B]` -> `[B]`, Eq. 8 or Eq. 15.
        target: (batch, next value `[B]`) -> `[B]`, Eq. 9 or Eq. 16.
    """

    twin: Callable[[Array], Array]
    value_loss: Callable[[Array, Array], Array]
    target: Callable[[Transitions, Array], Array]


def training_networks(config: Critic) -> CriticNetworks:
    """The networks in training, with the configured size and precision of products."""
    return CriticNetworks.of_size(
        config.hidden_layers, config.hidden_units, config.product_precision
    )


def init(config: Critic, data: Transitions) -> Callable[[Array], CriticState]:
    """A function from a key to the fresh state of one seed, for `fit`.

    Args:
        config: the networks' sizes.
        data: anything with the dataset's observation and action sizes.
    """
    networks = training_networks(config)
    adam = optimiser(config)

    def fresh(key: Array) -> CriticState:
        q, v = networks.init_params(key, data.observations.shape[-1], data.actions.shape[-1])
        return CriticState(q=q, v=v, q_target=q, q_optimiser=adam.init(q), v_optimiser=adam.init(v))

    return fresh


Update = Callable[
    [CriticState, tuple[Transitions, Any], Array], tuple[CriticState, dict[str, Array]]
]


def update(config: Critic, rule: CriticRule) -> Update:
    """A function (state, batch, key) -> (state, metrics), for `fit`.

    It takes one gradient step on V, then one on Q (Algorithm 1), then updates the target network.
    The metrics are both losses and the means of Q and V.

    Args:
        config: sizes, learning rate and soft update.
        rule: feasibility's or reward's.
    """
    networks = training_networks(config)
    adam = optimiser(config)

    def values(module: nn.Module, params: Any, *inputs: Array) -> Array:
        outputs = forward(module, params, *inputs)
        return outputs if config.value_scale == 1 else config.value_scale * outputs

    def step(
        state: CriticState, batch: tuple[Transitions, Any], key: Array
    ) -> tuple[CriticState, dict[str, Array]]:
        del key  # only drawing the batch is random
        rows, _ = batch
        q_taught = rule.twin(values(networks.q, state.q_target, rows.observations, rows.actions))

        def v_loss(v_params: Any) -> tuple[Array, Array]:
            v = values(networks.v, v_params, rows.observations)
            return rule.value_loss(q_taught, v).mean(), v.mean()

        (v, v_optimiser), v_loss_mean, v_mean = descend(
            adam, Learner(state.v, state.v_optimiser), v_loss
        )

        target = rule.target(rows, values(networks.v, v, rows.next_observations))

        def q_loss(q_params: Any) -> tuple[Array, Array]:
            q = values(networks.q, q_params, rows.observations, rows.actions)
            return ((q - target[None]) ** 2).mean(), q.mean()

        (q, q_optimiser), q_loss_mean, q_mean = descend(
            adam, Learner(state.q, state.q_optimiser), q_loss
        )

        q_target = optax.incremental_update(q, state.q_target, config.soft_update)
        metrics = {"q_loss": q_loss_mean, "v_loss": v_loss_mean, "q_mean": q_mean, "v_mean": v_mean}
        return CriticState(q, v, q_target, q_optimiser, v_optimiser), metrics

    return step


def finished(config: Critic, states: CriticState, above_zero: float = 0.0) -> CriticState:
    """The trained critic as it is used, with `value_scale` in the weights of the last layers.

    Args:
        config: of the training.
        states: the trained states, stacked along `[seeds]`.
        above_zero: is subtracted from the values.
    """
    last = f"Dense_{config.hidden_layers}"

    def changed(path: Any, leaf: Array) -> Array:
        *_, layer, name = (entry.key for entry in path)
        if layer != last:
            return leaf
        scaled = leaf if config.value_scale == 1 else config.value_scale * leaf
        return scaled - above_zero if name == "bias" else scaled

    q_target, v = (
        jax.tree_util.tree_map_with_path(changed, tree) for tree in (states.q_target, states.v)
    )
    return states._replace(q_target=q_target, v=v)


def save(directory: str | Path, states: CriticState, config: Mapping[str, Any]) -> None:
    """Write what acting and the policy's weights need: the target Q and V of every seed."""
    checkpoint.save(directory, {"q": states.q_target, "v": states.v}, config)


def checkpoint_config(config: Critic, data: Transitions) -> dict[str, Any]:
    """What rebuilds a critic's networks, for `save`."""
    return {
        "seeds": config.seeds,
        "observation_dim": data.observations.shape[-1],
        "action_dim": data.actions.shape[-1],
        "hidden_layers": config.hidden_layers,
        "hidden_units": config.hidden_units,
    }
