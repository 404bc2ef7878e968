"""The policy's training: the score network, by weighted regression (Eq. 14)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from fisor import diffusion
from fisor.networks import ScoreNetwork, forward
from fisor.optimiser import optimiser
from fisor.params import Params
from fisor.transitions import Transitions

Array = jax.Array


class PolicyState(NamedTuple):
    """What the training of one seed's policy carries.

    Attributes:
        score: parameters of the score network.
        score_average: their moving average, which acts.
        optimiser: Adam's state.
    """

    score: Any
    score_average: Any
    optimiser: Any


def score_network(action_dim: int, params: Params) -> ScoreNetwork:
    """z_theta at the sizes of `params`."""
    sizes = params.T, params.policy_blocks, params.policy_units
    return ScoreNetwork(action_dim, *sizes, dropout=params.policy_dropout)


def init(params: Params, data: Transitions) -> Callable[[Array], PolicyState]:
    """A function from a key to the fresh state of one seed, for `fit`."""
    network = score_network(data.actions.shape[-1], params)

    def fresh(key: Array) -> PolicyState:
        score = network.init_params(key, data.observations.shape[-1])
        return PolicyState(score, score, optimiser(params).init(score))

    return fresh


def update(
    params: Params, action_dim: int
) -> Callable[
    [PolicyState, tuple[Transitions, Array], Array], tuple[PolicyState, dict[str, Array]]
]:
    """A function (state, batch, key) -> (state, metrics), for `fit`: one step on Eq. 14.

    The batch is (transitions, their weights).
    """
    network = score_network(action_dim, params)
    adam = optimiser(params)
    noise_schedule = diffusion.schedule(params.T)

    def step(
        state: PolicyState, batch: tuple[Transitions, Array], key: Array
    ) -> tuple[PolicyState, dict[str, Array]]:
        rows, weights = batch
        time_key, noise_key, dropout_key = jax.random.split(key, 3)
        time = jax.random.randint(time_key, weights.shape, 1, params.T + 1)
        noise = jax.random.normal(noise_key, rows.actions.shape)
        noisy = diffusion.add_noise(noise_schedule, rows.actions, time, noise)

        def loss(score: Any) -> Array:
            predicted = forward(
                network,
                score,
                rows.observations,
                noisy,
                time,
                training=True,
                rngs={"dropout": dropout_key},
            )
            return (weights * ((noise - predicted) ** 2).sum(-1)).mean()

        value, gradient = jax.value_and_grad(loss)(state.score)
        change, optimiser = adam.update(gradient, state.optimiser)
        score = optax.apply_updates(state.score, change)
        average = optax.incremental_update(score, state.score_average, params.soft_update)
        metrics = {"policy_loss": value, "weight_mean": weights.mean()}
        return PolicyState(score, average, optimiser), metrics

    return step
