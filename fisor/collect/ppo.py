"""A safe on-policy learner: PPO (Schulman et al. 2017) with a PID Lagrangian (Stooke et al. 2020).

Its purpose is to cover the (cost, return) plane, not to end with the best policy.
"""

import itertools
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fisor.collect.advantages import estimate_advantages, standardised
from fisor.collect.gaussian_actor import LARGEST_INPUT, mlp
from fisor.collect.pid import Multiplier, control

Array = jax.Array
Layers = tuple[tuple[Array, Array], ...]

HIDDEN_UNITS = (64, 64)
EPOCHS = 8
MINIBATCH = 500
RATIO_CLIP = 0.2
KL_STOP = 0.03  # epochs end when the policy has diverged this far
LEARNING_RATE = 5e-4
FIRST_LOG_STD, LEAST_LOG_STD = -0.5, -2.5
SCALE_DECAY = 0.9  # of the running scale of rewards and costs
LEAST_SCALE = 0.05


class Networks(NamedTuple):
    """The trained parameters.

    Attributes:
        actor: MLP that gives the mean action.
        log_std: `[action_dim]`.
        reward_value: MLP that gives the value, in units of the scale.
        cost_value: the same for costs.
    """

    actor: Layers
    log_std: Array
    reward_value: Layers
    cost_value: Layers


class LearnerState(NamedTuple):
    """Everything that a learner carries from one roll-out to the next.

    Attributes:
        networks: see `Networks`.
        adam: the optimiser's state.
        seen: number of observations so far, over which mean and squares are taken.
        mean: `[obs_dim]`.
        squares: `[obs_dim]` sum of squared distances from the mean.
        scales: `[2]` scale of the values of rewards and of costs.
        multiplier: see `Multiplier`.
    """

    networks: Networks
    adam: Any
    seen: Array
    mean: Array
    squares: Array
    scales: Array
    multiplier: Multiplier


class Batch(NamedTuple):
    """A roll-out, `[streams, steps, ...]`; fields as in `Trajectory`."""

    observations: Array
    actions: Array
    next_observations: Array
    rewards: Array
    costs: Array
    terminals: Array
    timeouts: Array


def _layers(key: Array, sizes: tuple[int, ...], last_gain: float) -> Layers:
    layers = []
    for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        gain = last_gain if index == len(sizes) - 2 else 2**0.5
        orthogonal = jax.nn.initializers.orthogonal(gain)
        kernel = orthogonal(jax.random.fold_in(key, index), (inputs, outputs), jnp.float32)
        layers.append((kernel, jnp.zeros(outputs)))
    return tuple(layers)


@partial(jax.jit, static_argnums=(1, 2))
def init(key: Array, observation_dim: int, action_dim: int) -> LearnerState:
    """A fresh learner. Consumes `key`."""
    keys = jax.random.split(key, 3)
    sizes = (observation_dim, *HIDDEN_UNITS)
    networks = Networks(
        actor=_layers(keys[0], (*sizes, action_dim), 0.01),
        log_std=jnp.full(action_dim, FIRST_LOG_STD, jnp.float32),
        reward_value=_layers(keys[1], (*sizes, 1), 1.0),
        cost_value=_layers(keys[2], (*sizes, 1), 1.0),
    )
    return LearnerState(
        networks=networks,
        adam=optax.adam(LEARNING_RATE).init(networks),
        seen=jnp.float32(0),
        mean=jnp.zeros(observation_dim),
        squares=jnp.zeros(observation_dim),
        scales=jnp.ones(2),
        multiplier=Multiplier(jnp.float32(0), jnp.float32(jnp.inf)),
    )


def _normal(state: LearnerState, observation: Array) -> Array:
    inputs = (observation - state.mean) / observation_std(state)
    return jnp.clip(inputs, -LARGEST_INPUT, LARGEST_INPUT)


def observation_std(state: LearnerState) -> Array:
    """`[obs_dim]` standard deviation of the observations seen; 1 before any."""
    std = jnp.sqrt(state.squares / jnp.maximum(state.seen, 1.0)) + 1e-3
    return jnp.where(state.seen > 0, std, 1.0)


def _value(layers: Layers, inputs: Array) -> Array:
    return mlp(layers, inputs, jnp.tanh)[0]


def _log_probability(mean: Array, log_std: Array, action: Array) -> Array:
    return -(0.5 * jnp.square((action - mean) / jnp.exp(log_std)) + log_std).sum()


def _rescaled(layers: Layers, factor: Array) -> Layers:
    """The MLP whose output is `factor` times as large."""
    *first, (kernel, bias) = layers
    return (*first, (kernel * factor, bias * factor))


class _Rows(NamedTuple):
    """The data of the epochs, `[rows, ...]` each."""

    inputs: Array
    actions: Array
    old_means: Array
    advantages: Array
    reward_targets: Array
    cost_targets: Array


@partial(jax.jit, static_argnames=("discount", "horizon_steps"))
def update(
    state: LearnerState,
    batch: Batch,
    cost: Array,
    limit: Array,
    key: Array,
    *,
    discount: float,
    horizon_steps: int,
) -> LearnerState:
    """Learn from a roll-out: multiplier, advantages, then epochs of PPO. Consumes `key`.

    Args:
        state: state of the learner that made the roll-out.
        batch: the roll-out.
        cost: mean cost of its episodes.
        limit: limit of that cost.
        key: key of the order of rows.
        discount: gamma.
        horizon_steps: the task's.
    """
    multiplier_memory, multiplier = control(state.multiplier, cost, limit, horizon_steps)
    # Values are learned in units that follow the scale of rewards and costs (as in PopArt).
    span = min(1 / (1 - discount), horizon_steps)
    sizes = jnp.stack([jnp.square(batch.rewards).mean(), jnp.square(batch.costs).mean()]) ** 0.5
    sizes = jnp.maximum(sizes, LEAST_SCALE) * span
    decay = jnp.where(state.seen > 0, SCALE_DECAY, 0.0)
    scales = decay * state.scales + (1 - decay) * sizes
    factors = state.scales / scales
    networks = state.networks._replace(
        reward_value=_rescaled(state.networks.reward_value, factors[0]),
        cost_value=_rescaled(state.networks.cost_value, factors[1]),
    )
    rows = _rows(state, networks, batch, scales, multiplier, discount)
    networks, adam = _optimised(networks, state.adam, rows, key)

    # Moments of the union of two sets (Chan et al. 1983).
    observations = batch.observations.reshape(-1, state.mean.size)
    count = observations.shape[0]
    total = state.seen + count
    mean = observations.mean(axis=0, keepdims=True)
    squares = jnp.square(observations - mean).sum(axis=0)
    shift = mean[0] - state.mean
    return LearnerState(
        networks=networks,
        adam=adam,
        seen=total,
        mean=state.mean + shift * (count / total),
        squares=state.squares + squares + jnp.square(shift) * (state.seen * count / total),
        scales=scales,
        multiplier=multiplier_memory,
    )


def _rows(
    state: LearnerState,
    networks: Networks,
    batch: Batch,
    scales: Array,
    multiplier: Array,
    discount: float,
) -> _Rows:
    """The roll-out's rows with (A_r - multiplier A_c) / (1 + multiplier), each standardised."""
    normal = jax.vmap(jax.vmap(partial(_normal, state)))
    inputs, next_inputs = normal(batch.observations), normal(batch.next_observations)
    ends = batch.terminals | batch.timeouts
    advantages, targets = [], []
    signals = ((batch.rewards, networks.reward_value), (batch.costs, networks.cost_value))
    for index, (signal, layers) in enumerate(signals):
        every_value = jax.vmap(jax.vmap(partial(_value, layers)))
        values, next_values = every_value(inputs), every_value(next_inputs)
        estimate = jax.vmap(partial(estimate_advantages, discount=discount))(
            signal / scales[index], values, next_values, batch.terminals, ends
        )
        advantages.append(standardised(estimate))
        targets.append(estimate + values)
    advantage = (advantages[0] - multiplier * advantages[1]) / (1 + multiplier)
    means = jax.vmap(jax.vmap(partial(mlp, networks.actor, tanh=jnp.tanh)))(inputs)
    fields = (inputs, batch.actions, means, advantage, *targets)
    return _Rows(*(field.reshape(-1, *field.shape[2:]) for field in fields))


def _optimised(networks: Networks, adam: Any, rows: _Rows, key: Array) -> tuple[Networks, Any]:
    """Epochs of minibatches, until the policy has diverged enough."""
    old_log_std = networks.log_std
    count = rows.actions.shape[0]
    minibatch = min(MINIBATCH, count)
    optimiser = optax.adam(LEARNING_RATE)

    def loss(networks: Networks, row: _Rows) -> Array:
        mean = mlp(networks.actor, row.inputs, jnp.tanh)
        ratio = jnp.exp(
            _log_probability(mean, networks.log_std, row.actions)
            - _log_probability(row.old_means, old_log_std, row.actions)
        )
        clipped = jnp.clip(ratio, 1 - RATIO_CLIP, 1 + RATIO_CLIP)
        surrogate = jnp.minimum(ratio * row.advantages, clipped * row.advantages)
        reward_error = _value(networks.reward_value, row.inputs) - row.reward_targets
        cost_error = _value(networks.cost_value, row.inputs) - row.cost_targets
        return -surrogate + 0.5 * (jnp.square(reward_error) + jnp.square(cost_error))

    def mean_loss(networks: Networks, picked: _Rows) -> Array:
        return jax.vmap(partial(loss, networks))(picked).mean()

    def divergence(networks: Networks) -> Array:
        """Mean over states of the KL divergence between the policy that acted and the new one."""
        now = jax.vmap(partial(mlp, networks.actor, tanh=jnp.tanh))(rows.inputs)
        moved = jnp.square(now - rows.old_means).mean(axis=0)
        ratio = jnp.exp(2 * (old_log_std - networks.log_std))
        return 0.5 * (ratio - 1 - jnp.log(ratio) + moved * jnp.exp(-2 * networks.log_std)).sum()

    def descend(carry: tuple, indices: Array) -> tuple[tuple, None]:
        networks, adam = carry
        picked = jax.tree.map(lambda field: field[indices], rows)
        step, adam = optimiser.update(jax.grad(mean_loss)(networks, picked), adam)
        networks = jax.tree.map(jnp.add, networks, step)
        log_std = jnp.maximum(networks.log_std, LEAST_LOG_STD)
        return (networks._replace(log_std=log_std), adam), None

    def epoch(carry: tuple) -> tuple:
        networks, adam, number, _ = carry
        order = jax.random.permutation(jax.random.fold_in(key, number), count)
        chosen = order[: count // minibatch * minibatch].reshape(-1, minibatch)
        (networks, adam), _ = jax.lax.scan(descend, (networks, adam), chosen)
        return networks, adam, number + 1, divergence(networks)

    networks, adam, _, _ = jax.lax.while_loop(
        lambda carry: (carry[2] < EPOCHS) & (carry[3] < KL_STOP),
        epoch,
        (networks, adam, jnp.int32(0), jnp.float32(0)),
    )
    return networks, adam
