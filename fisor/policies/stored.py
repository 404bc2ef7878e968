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
from fisor.policies.score_network import ScoreNetwork

FEASIBILITY, REWARD = "feasibility", "reward"  # the critics' folders, inside the policy's


class PolicyNetworks(NamedTuple):
    """A policy's definitions, with which its parameters act.

    Attributes:
        score: z_theta; of the ablation without diffusion, the Gaussian.
        noise_schedule: of T levels; a Gaussian has no use for it.
        critic: Q_h and V_h.
        reward: Q_r and V_r, of which Q_r acts.
    """

    score: ScoreNetwork | GaussianNetwork
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
    for name, critic in ((FEASIBILITY, feasibility), (REWARD, reward)):
        (directory / name).mkdir()
        checkpoint.save(directory / name, {"q": critic.q, "v": critic.v}, critic.config)


def load(directory: Path, config: dict[str, Any]) -> tuple[PolicyNetworks, PolicyParams]:
    """Read a policy that `save` wrote: definitions, and parameters stacked along `[seeds]`.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    network, score = load_network(directory, config)
    feasibility, reward = (_critic(directory, folder, config) for folder in (FEASIBILITY, REWARD))
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


def load_network(
    directory: Path, config: dict[str, Any]
) -> tuple[ScoreNetwork | GaussianNetwork, Any]:
    """Read the network that draws actions, and its parameters stacked along `[seeds]`.

    Raises:
        InputError: the file is missing, cut short or of other shapes.
    """
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
            f"{directory / checkpoint.CONFIG}: `policy` must be diffusion or gaussian, not "
            f"{config.get('policy')!r}"
        )

    def template() -> Any:
        keys = jax.random.split(jax.random.key(0), seeds)
        return jax.vmap(lambda key: network.init_params(key, observation_dim))(keys)

    return network, checkpoint.load(directory, template)
