"""A trained policy: on disk, and acting (N candidates, the one of lowest Q_h)."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fisor import checkpoint, critics, diffusion, gaussian_policy
from fisor.critics import TrainedCritic
from fisor.errors import InputError
from fisor.gaussian_policy import GaussianNetwork
from fisor.networks import ScoreNetwork, forward
from fisor.params import Params

Array = jax.Array

FEASIBILITY_FOLDER = "feasibility"  # the critic that chooses among candidates, inside a policy


def save(directory: str | Path, score: Any, feasibility: TrainedCritic, params: Params) -> None:
    """Write what acting needs: the policy's network and the feasibility critic, all seeds.

    Args:
        directory: an existing folder.
        score: parameters of the network that acts, stacked along `[seeds]`.
        feasibility: the critic that chooses among candidates.
        params: which policy it is, its network's sizes, and T.
    """
    sizes = {name: feasibility.config[name] for name in ("seeds", "observation_dim", "action_dim")}
    config = sizes | {
        "policy": params.policy,
        "T": params.T,
        "policy_blocks": params.policy_blocks,
        "policy_units": params.policy_units,
    }
    checkpoint.save(directory, score, config)
    critic_directory = Path(directory) / FEASIBILITY_FOLDER
    critic_directory.mkdir()
    checkpoint.save(critic_directory, {"q": feasibility.q, "v": feasibility.v}, feasibility.config)


class PolicyNetworks(NamedTuple):
    """A policy's definitions, with which its parameters act.

    Attributes:
        score: z_theta; of the ablation without diffusion, the Gaussian.
        noise_schedule: of T levels; a Gaussian has no use for it.
        critic: Q_h and V_h.
        sampler: a name in `diffusion.SAMPLERS`.
    """

    score: ScoreNetwork | GaussianNetwork
    noise_schedule: diffusion.Schedule
    critic: critics.CriticNetworks
    sampler: str = "ddpm"


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
    actions = _draw(networks, params, repeated, key)
    if candidates == 1:
        return actions
    q_h = forward(networks.critic.q, params.q_h, repeated, actions).max(axis=0)
    safest = q_h.reshape(-1, candidates).argmin(axis=1)
    grouped = actions.reshape(-1, candidates, actions.shape[-1])
    return jnp.take_along_axis(grouped, safest[:, None, None], axis=1)[:, 0]


def _draw(networks: PolicyNetworks, params: PolicyParams, observations: Array, key: Array) -> Array:
    """One action of the policy for each observation, `[B, action_dim]`. Consumes `key`."""
    network = networks.score
    if isinstance(network, GaussianNetwork):
        return gaussian_policy.sample(network, params.score, observations, key)

    def predict_noise(noisy: Array, time: Array) -> Array:
        return forward(network, params.score, observations, noisy, time)

    shape = (observations.shape[0], network.action_dim)
    sample = diffusion.SAMPLERS[networks.sampler]
    return sample(networks.noise_schedule, predict_noise, key, shape)


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
    network: ScoreNetwork | GaussianNetwork
    if config.get("policy") == "gaussian":
        network = GaussianNetwork(action_dim, blocks, units, dropout=0.0)
    elif config.get("policy") == "diffusion":
        network = ScoreNetwork(action_dim, T, blocks, units, dropout=0.0)
    else:
        raise InputError(
            f"{Path(directory) / checkpoint.CONFIG}: `policy` must be diffusion or gaussian, not "
            f"{config.get('policy')!r}"
        )

    def template() -> Any:
        keys = jax.random.split(jax.random.key(0), seeds)
        return jax.vmap(lambda key: network.init_params(key, observation_dim))(keys)

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


def load_policy(directory: str | Path, seed: int = 0, N: int = 16, sampler: str = "ddpm") -> Policy:
    """Load a trained policy; needs neither DVC nor the dataset.

    Args:
        directory: what train_policy wrote, such as data/policy/PointRobot/FISOR.
        seed: which training seed acts, from 0.
        N: candidates, of which the safest acts (Table 5: 16).
        sampler: ddpm or dpm_solver_1, for a diffusion policy.

    Returns:
        An object with `act` and `feasible_value`.

    Raises:
        InputError: the folder is no whole policy.
        ValueError: there is no such seed or sampler, or N is below 1.
    """
    networks, params, config = load_all_seeds(directory)
    if not 0 <= seed < config["seeds"]:
        raise ValueError(f"seed must be 0 to {config['seeds'] - 1} in {directory}, not {seed}")
    if N < 1:
        raise ValueError(f"N must be at least 1, not {N}")
    if sampler not in diffusion.SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(diffusion.SAMPLERS)}, not {sampler}")
    networks = networks._replace(sampler=sampler)
    return Policy(networks, jax.tree.map(lambda stacked: stacked[seed], params), N)
