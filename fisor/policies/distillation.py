"""A diffusion policy's sampler, distilled into a network of one forward pass.

A sampler is a deterministic function of the state and of all the noise that it draws. The network
is regressed on that function, as the one-step policy of Flow Q-learning (Park, Li and Levine, ICML
2025) is on its flow. The teacher is finished, so its actions are drawn once, before the training,
as reflow's pairs are (Liu, Gong and Liu, ICLR 2023).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from fisor.config.distillation import Distillation
from fisor.nn.networks import forward
from fisor.nn.optimiser import Learner, begin, descend, optimiser
from fisor.policies import diffusion
from fisor.policies.one_step import OneStepNetwork
from fisor.policies.score_network import ScoreNetwork

Array = jax.Array

ROWS_AT_ONCE = 8192  # on the way through the teacher
NOISE_SEED = 0  # of the rows and the noise that the teacher's actions are drawn for


def loss(action: Array, taught: Array) -> Array:
    """|f(s, z) - a|^2 with a the teacher's action for s and z, `[action_dim]` -> `[]`.

    The distillation term of Flow Q-learning's loss of the one-step policy.
    """
    return ((action - taught) ** 2).sum()


def teach(
    network: OneStepNetwork,
    teacher: ScoreNetwork,
    teacher_params: Any,
    observations: np.ndarray,
    samples: int,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """The teacher's actions in states of the dataset, all drawn evenly.

    States and noise are the same for all seeds; each seed's teacher acts on them by itself.

    Args:
        network: of which it uses the sampler alone.
        teacher: its score network.
        teacher_params: parameters, stacked along `[seeds]`.
        observations: `[n, obs_dim]` of the dataset.
        samples: number of actions.

    Returns:
        Observations `[samples, obs_dim]` and noise `[samples, draws, action_dim]`; and the actions
        `[seeds, samples, action_dim]`.
    """
    rows_key, noise_key = jax.random.split(jax.random.key(NOISE_SEED))
    picked = np.asarray(jax.random.randint(rows_key, (samples,), 0, observations.shape[0]))
    states, noise = observations[picked], np.asarray(network.draw_noise(noise_key, samples))
    schedule = diffusion.schedule(network.levels)

    @jax.jit
    def act(params: Any, states: Array, noise: Array) -> Array:
        predict = partial(forward, teacher, params, states)
        return diffusion.OF_NOISE[network.sampler].actions(schedule, predict, noise)

    def of_seed(params: Any) -> np.ndarray:
        starts = range(0, samples, ROWS_AT_ONCE)
        blocks = (slice(start, start + ROWS_AT_ONCE) for start in starts)
        return np.concatenate([act(params, states[block], noise[block]) for block in blocks])

    seeds = jax.tree.leaves(teacher_params)[0].shape[0]
    each = [jax.tree.map(lambda leaf, s=seed: leaf[s], teacher_params) for seed in range(seeds)]
    return (states, noise), np.stack([of_seed(params) for params in each])


def student(config: Distillation, teacher: ScoreNetwork) -> OneStepNetwork:
    """The network at the sizes of `config`."""
    sizes = config.sampler, config.hidden_layers, config.hidden_units
    return OneStepNetwork(teacher.action_dim, teacher.levels, *sizes, config.product_precision)


def init(
    config: Distillation, network: OneStepNetwork, observation_dim: int
) -> Callable[[Array], Learner]:
    """A function from a key to the fresh state of one seed, for `fit`."""
    return lambda key: begin(optimiser(config), network.init_params(key, observation_dim))


def update(
    config: Distillation, network: OneStepNetwork
) -> Callable[[Learner, Any, Array], tuple[Learner, dict[str, Array]]]:
    """A function (state, batch, key) -> (state, metrics), for `fit`: one step on `loss`.

    The batch is ((observations, noise), the teacher's actions).
    """
    adam = optimiser(config)

    def step(state: Learner, batch: Any, key: Array) -> tuple[Learner, dict[str, Array]]:
        del key  # only drawing the batch is random
        (observations, noise), taught = batch

        def mean_loss(params: Any) -> tuple[Array, None]:
            actions = forward(network, params, observations, noise)
            return jax.vmap(loss)(actions, taught).mean(), None

        state, value, _ = descend(adam, state, mean_loss)
        return state, {"distillation_loss": value}

    return step


def checkpoint_config(
    config: Distillation, network: OneStepNetwork, observation_dim: int
) -> dict[str, Any]:
    """What rebuilds the network that acts, for `fisor.policies.stored.save`."""
    return {
        "policy": "one_step",
        "seeds": config.seeds,
        "observation_dim": observation_dim,
        "action_dim": network.action_dim,
        "T": network.levels,
        "sampler": network.sampler,
        "hidden_layers": network.layers,
        "hidden_units": network.units,
    }
