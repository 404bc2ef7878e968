"""A policy on disk: the network that draws actions, and the critics that choose among them."""

from pathlib import Path
from typing import Any, NamedTuple

import jax

from fisor.critics import trained
from fisor.critics.trained import CriticNetworks, TrainedCritic
from fisor.errors import InputError
from fisor.nn import checkpoint
from fisor.policies import diffusion
from fisor.policies.gaussian import GaussianNetwork
from fisor.policies.one_step import OneStepNetwork
from fisor.policies.score_network import ScoreNetwork

CRITICS = FEASIBILITY, REWARD = "feasibility", "reward"  # their folders, inside the policy's

DrawingNetwork = ScoreNetwork | GaussianNetwork | OneStepNetwork


class PolicyNetworks(NamedTuple):
    """A policy's definitions, with which its parameters act.

    Attributes:
        score: z_theta; of the ablation without diffusion, the Gaussian; or a one-step network.
        noise_schedule: of T levels, for z_theta alone.
        critic: Q_h and V_h.
        reward: Q_r and V_r, of which Q_r acts.
    """

    score: DrawingNetwork
    noise_schedule: diffusion.Schedule
    critic: CriticNetworks
    reward: CriticNetworks


class PolicyParams(NamedTuple):
    """A policy's parameters, of one seed or stacked along `[seeds]`."""

    score: Any
    q_h: Any
    v_h: Any
    q_r: Any


def save(
    directory: Path,
    score: Any,
    feasibility: TrainedCritic,
    reward: TrainedCritic,
    config: dict[str, Any],
) -> None:
    """Write what acting needs: the policy's network and the critics, all seeds.

    Args:
        directory: an existing folder.
        score: parameters of the network that acts, stacked along `[seeds]`.
        feasibility: the critic that tells which candidates are safe.
        reward: the critic by which rule `best_feasible` chooses among those.
        config: what rebuilds the network: the keys that `load` reads.
    """
    checkpoint.save(directory, score, config)
    for name, critic in zip(CRITICS, (feasibility, reward), strict=True):
        (directory / name).mkdir()
        checkpoint.save(directory / name, {"q": critic.q, "v": critic.v}, critic.config)


def load(directory: Path, config: dict[str, Any]) -> tuple[PolicyNetworks, PolicyParams]:
    """Read a policy that `save` wrote: definitions, and parameters stacked along `[seeds]`.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    network, score = load_network(directory, config)
    feasibility, reward = (_critic(directory, folder, config) for folder in CRITICS)
    schedule = diffusion.schedule(config["T"])
    networks = PolicyNetworks(network, schedule, feasibility.networks, reward.networks)
    return networks, PolicyParams(score, feasibility.q, feasibility.v, reward.q)


def _critic(directory: Path, folder: str, config: dict[str, Any]) -> TrainedCritic:
    critic = trained.load(directory / folder)
    for name in ("seeds", "observation_dim", "action_dim"):
        if critic.config[name] != config[name]:
            raise InputError(
                f"{directory}: the policy has `{name}` {config[name]} and its critic, in {folder}, "
                f"{critic.config[name]}"
            )
    return critic


def load_network(directory: Path, config: dict[str, Any]) -> tuple[DrawingNetwork, Any]:
    """Read the network that draws actions, and its parameters stacked along `[seeds]`.

    Raises:
        InputError: the file is missing, cut short or of other shapes.
    """
    kind, (depth, width) = config.get("policy"), ("policy_blocks", "policy_units")
    if kind == "one_step":
        depth, width = "hidden_layers", "hidden_units"
    names = ("seeds", "observation_dim", "action_dim", "T", depth, width)
    seeds, observation_dim, action_dim, T, layers, units = (
        checkpoint.size(config, name, directory) for name in names
    )
    network: DrawingNetwork
    if kind == "gaussian":
        network = GaussianNetwork(action_dim, layers, units, dropout=0.0)
    elif kind == "diffusion":
        network = ScoreNetwork(action_dim, T, layers, units, dropout=0.0)
    elif kind == "one_step" and config.get("sampler") in diffusion.OF_NOISE:
        network = OneStepNetwork(action_dim, T, config["sampler"], layers, units)
    else:
        raise InputError(
            f"{directory / checkpoint.CONFIG}: `policy` must be diffusion, gaussian or one_step "
            f"with a known `sampler`, not {kind!r}"
        )

    def template() -> Any:
        keys = jax.random.split(jax.random.key(0), seeds)
        return jax.vmap(lambda key: network.init_params(key, observation_dim))(keys)

    return network, checkpoint.load(directory, template)
