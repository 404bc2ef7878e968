"""The policy's training by weighted regression: the score network (Eq. 14), or a Gaussian."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fisor.config.policy import PolicyNetwork
from fisor.data.transitions import Transitions
from fisor.nn.networks import forward
from fisor.nn.optimiser import optimiser
from fisor.policies import diffusion, gaussian
from fisor.policies.gaussian import GaussianNetwork
from fisor.policies.score_network import ScoreNetwork

Array = jax.Array

# Of a batch on a CPU: what the network keeps of so many for its gradient stays in the caches.
ROWS_AT_ONCE = 512


class PolicyState(NamedTuple):
    """What the training of one seed's policy carries.

    Attributes:
        score: parameters of the score network, or of the Gaussian.
        score_average: their moving average, which acts.
        optimiser: Adam's state.
    """

    score: Any
    score_average: Any
    optimiser: Any


def score_network(action_dim: int, config: PolicyNetwork) -> ScoreNetwork:
    """z_theta at the sizes of `config`."""
    sizes = config.T, config.policy_blocks, config.policy_units
    return ScoreNetwork(action_dim, *sizes, config.policy_dropout, config.product_precision)


def policy_network(action_dim: int, config: PolicyNetwork) -> ScoreNetwork | GaussianNetwork:
    """What is trained: the score network, or a Gaussian of as many layers as that has blocks."""
    if config.policy == "gaussian":
        sizes = config.policy_blocks, config.policy_units
        rest = config.policy_dropout, config.product_precision
        return GaussianNetwork(action_dim, *sizes, *rest)
    return score_network(action_dim, config)


def init(config: PolicyNetwork, data: Transitions) -> Callable[[Array], PolicyState]:
    """A function from a key to the fresh state of one seed, for `fit`."""
    network = policy_network(data.actions.shape[-1], config)

    def fresh(key: Array) -> PolicyState:
        score = network.init_params(key, data.observations.shape[-1])
        return PolicyState(score, score, optimiser(config).init(score))

    return fresh


def checkpoint_config(config: PolicyNetwork, data: Transitions) -> dict[str, Any]:
    """What rebuilds the network that acts, for `fisor.policies.stored.save`."""
    return {
        "seeds": config.seeds,
        "observation_dim": data.observations.shape[-1],
        "action_dim": data.actions.shape[-1],
        "policy": config.policy,
        "T": config.T,
        "policy_blocks": config.policy_blocks,
        "policy_units": config.policy_units,
    }


def parts_of(batch_size: int) -> int:
    """In how many equal parts, each with its own key, a batch goes through the network."""
    on_cpu = jax.default_backend() == "cpu"
    return batch_size // ROWS_AT_ONCE if on_cpu and batch_size % ROWS_AT_ONCE == 0 else 1


def learned_from(data: Transitions) -> Transitions:
    """Observations and actions alone: the rest would only be moved and take a device's memory."""
    return data.only("observations", "actions")


def update(
    config: PolicyNetwork, action_dim: int
) -> Callable[
    [PolicyState, tuple[Transitions, Array], Array], tuple[PolicyState, dict[str, Array]]
]:
    """A function (state, batch, key) -> (state, metrics), for `fit`: one step on Eq. 14.

    The batch is (transitions, their weights), of which it reads what `learned_from` leaves. A large
    one goes through the network in parts.
    """
    network = policy_network(action_dim, config)
    adam = optimiser(config)
    noise_schedule = diffusion.schedule(config.T)

    def row_losses(score: Any, rows: Transitions, key: Array) -> Array:
        if isinstance(network, GaussianNetwork):
            return gaussian.negative_log_likelihood(network, score, rows, key)
        time_key, noise_key, dropout_key = jax.random.split(key, 3)
        time = jax.random.randint(time_key, rows.actions.shape[:1], 1, config.T + 1)
        noise = jax.random.normal(noise_key, rows.actions.shape)
        noisy = diffusion.add_noise(noise_schedule, rows.actions, time, noise)
        predicted = forward(
            network,
            score,
            rows.observations,
            noisy,
            time,
            training=True,
            rngs={"dropout": dropout_key},
        )
        return ((noise - predicted) ** 2).sum(-1)

    def loss(score: Any, batch: tuple[Transitions, Array], key: Array) -> Array:
        rows, weights = batch
        return (weights * row_losses(score, rows, key)).mean()

    def loss_and_gradient(score: Any, batch: tuple[Transitions, Array], key: Array) -> Any:
        parts = parts_of(batch[1].shape[0])
        if parts == 1:
            return jax.value_and_grad(loss)(score, batch, key)

        def add(sums: Any, part: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, sums, jax.value_and_grad(loss)(score, *part)), None

        split = jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), batch)
        none_yet = jax.tree.map(jnp.zeros_like, (jnp.zeros(()), score))
        sums, _ = jax.lax.scan(add, none_yet, (split, jax.random.split(key, parts)))
        return jax.tree.map(lambda total: total / parts, sums)

    def step(
        state: PolicyState, batch: tuple[Transitions, Array], key: Array
    ) -> tuple[PolicyState, dict[str, Array]]:
        value, gradient = loss_and_gradient(state.score, batch, key)
        change, optimiser = adam.update(gradient, state.optimiser)
        score = optax.apply_updates(state.score, change)
        average = optax.incremental_update(score, state.score_average, config.soft_update)
        metrics = {"policy_loss": value, "weight_mean": batch[1].mean()}
        return PolicyState(score, average, optimiser), metrics

    return step
