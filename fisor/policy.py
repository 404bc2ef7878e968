"""The policy: the data's weights, the score network's training, and acting (Eq. 13-14)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fisor import checkpoint, critics, diffusion, losses
from fisor.critics import TrainedCritic
from fisor.errors import InputError
from fisor.networks import ScoreNetwork, forward
from fisor.optimiser import optimiser
from fisor.params import Params
from fisor.transitions import Transitions

Array = jax.Array

FEASIBILITY_FOLDER = "feasibility"  # the critic that chooses among candidates, inside a policy
WEIGHT_ROWS = 8192  # rows of the dataset whose weights are computed at once


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


def data_weights(
    params: Params, data: Transitions, feasibility: TrainedCritic, reward: TrainedCritic
) -> np.ndarray:
    """w(s, a) of Eq. 13 for every transition and seed, from the finished critics.

    Args:
        params: temperatures and clips.
        data: the dataset, n transitions.
        feasibility: Q_h and V_h of every seed.
        reward: Q_r and V_r of every seed.

    Returns:
        `[seeds, n]` weights.
    """

    def of_seed(q_h: Any, v_h: Any, q_r: Any, v_r: Any, s: Array, a: Array) -> Array:
        q_reward = forward(reward.networks.q, q_r, s, a).min(axis=0)
        return losses.policy_weight(
            q_reward - forward(reward.networks.v, v_r, s),
            forward(feasibility.networks.q, q_h, s, a).max(axis=0),
            forward(feasibility.networks.v, v_h, s),
            feasible_temperature=params.feasible_temperature,
            infeasible_temperature=params.infeasible_temperature,
            feasible_clip=params.feasible_clip,
            infeasible_clip=params.infeasible_clip,
        )

    every_seed = jax.jit(jax.vmap(of_seed, in_axes=(0, 0, 0, 0, None, None)))
    critic_params = (feasibility.q, feasibility.v, reward.q, reward.v)
    blocks = [
        np.asarray(
            every_seed(
                *critic_params,
                data.observations[first : first + WEIGHT_ROWS],
                data.actions[first : first + WEIGHT_ROWS],
            )
        )
        for first in range(0, data.observations.shape[0], WEIGHT_ROWS)
    ]
    return np.concatenate(blocks, axis=1)


def score_network(action_dim: int, params: Params) -> ScoreNetwork:
    """z_theta at the sizes of `params`."""
    sizes = params.T, params.policy_blocks, params.policy_units
    return ScoreNetwork(action_dim, *sizes, dropout=params.policy_dropout)


def _init_score(network: ScoreNetwork, key: Array, observation_dim: int) -> Any:
    rows = jnp.zeros((1, observation_dim)), jnp.zeros((1, network.action_dim))
    return network.init(key, *rows, jnp.ones(1, jnp.int32))


def init(params: Params, data: Transitions) -> Callable[[Array], PolicyState]:
    """A function from a key to the fresh state of one seed, for `fit`."""
    network = score_network(data.actions.shape[-1], params)

    def fresh(key: Array) -> PolicyState:
        score = _init_score(network, key, data.observations.shape[-1])
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


def save(
    directory: str | Path, states: PolicyState, feasibility: TrainedCritic, params: Params
) -> None:
    """Write what acting needs: the averaged score network and the feasibility critic, all seeds.

    Args:
        directory: an existing folder.
        states: from `fit`, stacked along `[seeds]`.
        feasibility: the critic that chooses among candidates.
        params: the score network's sizes and T.
    """
    sizes = {name: feasibility.config[name] for name in ("seeds", "observation_dim", "action_dim")}
    config = sizes | {
        "T": params.T,
        "policy_blocks": params.policy_blocks,
        "policy_units": params.policy_units,
    }
    checkpoint.save(directory, states.score_average, config)
    critic_directory = Path(directory) / FEASIBILITY_FOLDER
    critic_directory.mkdir()
    checkpoint.save(critic_directory, {"q": feasibility.q, "v": feasibility.v}, feasibility.config)


class PolicyNetworks(NamedTuple):
    """A policy's definitions, with which its parameters act.

    Attributes:
        score: z_theta.
        noise_schedule: of T levels.
        critic: Q_h and V_h.
    """

    score: ScoreNetwork
    noise_schedule: diffusion.Schedule
    critic: critics.CriticNetworks


class PolicyParams(NamedTuple):
    """A policy's parameters, of one seed or stacked along `[seeds]`."""

    score: Any
    q_h: Any
    v_h: Any


def act(
    networks: PolicyNetworks, params: PolicyParams, observations: Array, key: Array, candidates: int
) -> Array:
    """Draw N candidates for each observation; the one of lowest Q_h acts. Consumes `key`.

    Args:
        networks: definitions.
        params: parameters of one seed.
        observations: `[B, obs_dim]`.
        key: a key.
        candidates: N, at least 1.

    Returns:
        `[B, action_dim]` actions in [-1, 1].
    """
    repeated = jnp.repeat(observations, candidates, axis=0)

    def predict_noise(noisy: Array, time: Array) -> Array:
        return forward(networks.score, params.score, repeated, noisy, time)

    shape = (repeated.shape[0], networks.score.action_dim)
    actions = diffusion.sample(networks.noise_schedule, predict_noise, key, shape)
    q_h = forward(networks.critic.q, params.q_h, repeated, actions).max(axis=0)
    safest = q_h.reshape(-1, candidates).argmin(axis=1)
    grouped = actions.reshape(-1, candidates, actions.shape[-1])
    return jnp.take_along_axis(grouped, safest[:, None, None], axis=1)[:, 0]


def load_all_seeds(directory: str | Path) -> tuple[PolicyNetworks, PolicyParams, dict[str, Any]]:
    """Read a policy folder: definitions, parameters stacked along `[seeds]`, configuration.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    config = checkpoint.load_config(directory)
    names = ("seeds", "observation_dim", "action_dim", "T", "policy_blocks", "policy_units")
    seeds, observation_dim, action_dim, T, blocks, units = (
        checkpoint.size(config, name, directory) for name in names
    )
    network = ScoreNetwork(action_dim, T, blocks, units, dropout=0.0)

    def template() -> Any:
        keys = jax.random.split(jax.random.key(0), seeds)
        return jax.vmap(lambda key: _init_score(network, key, observation_dim))(keys)

    score = checkpoint.load(directory, template)
    critic = critics.load(Path(directory) / FEASIBILITY_FOLDER)
    for name in ("seeds", "observation_dim", "action_dim"):
        if critic.config[name] != config[name]:
            raise InputError(
                f"{directory}: the policy has `{name}` {config[name]} and its critic, in "
                f"{FEASIBILITY_FOLDER}, {critic.config[name]}"
            )
    networks = PolicyNetworks(network, diffusion.schedule(T), critic.networks)
    return networks, PolicyParams(score, critic.q, critic.v), config


class Policy:
    """One trained seed, ready to act; made by `load_policy`."""

    def __init__(self, networks: PolicyNetworks, params: PolicyParams, candidates: int) -> None:
        """Compile `networks` for `params`; `load_policy` calls this."""
        self._params = params
        self._act = jax.jit(partial(act, networks, candidates=candidates))
        self._feasible_value = jax.jit(partial(forward, networks.critic.v))

    def act(self, observations: np.ndarray | Array, key: Array) -> Array:
        """Choose actions: of N candidates each, the one of lowest Q_h.

        Args:
            observations: `[B, obs_dim]`.
            key: a JAX key, consumed; the same key gives the same actions.

        Returns:
            `[B, action_dim]` actions in [-1, 1].
        """
        return self._act(self._params, jnp.asarray(observations, jnp.float32), key)

    def feasible_value(self, observations: np.ndarray | Array) -> Array:
        """V_h of `[B, obs_dim]` observations, `[B]`: at most 0 means feasible (Definition 2)."""
        return self._feasible_value(self._params.v_h, jnp.asarray(observations, jnp.float32))


def load_policy(directory: str | Path, seed: int = 0, N: int = 16) -> Policy:
    """Load a trained policy; needs neither DVC nor the dataset.

    Args:
        directory: what train_policy wrote, such as data/policy/PointRobot/FISOR.
        seed: which training seed acts, from 0.
        N: candidates, of which the safest acts (Table 5: 16).

    Returns:
        An object with `act` and `feasible_value`.

    Raises:
        InputError: the folder is no whole policy.
        ValueError: there is no such seed, or N is below 1.
    """
    networks, params, config = load_all_seeds(directory)
    if not 0 <= seed < config["seeds"]:
        raise ValueError(f"seed must be 0 to {config['seeds'] - 1} in {directory}, not {seed}")
    if N < 1:
        raise ValueError(f"N must be at least 1, not {N}")
    return Policy(networks, jax.tree.map(lambda stacked: stacked[seed], params), N)
