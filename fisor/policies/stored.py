"""A policy on disk: the network that draws actions, and the critic that chooses among them."""

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

FEASIBILITY = "feasibility"  # the critic's folder, inside the policy's


class PolicyNetworks(NamedTuple):
    """A policy's definitions, with which its parameters act.

    Attributes:
        score: z_theta; of the ablation without diffusion, the Gaussian.
        noise_schedule: of T levels; a Gaussian has no use for it.
        critic: Q_h and V_h.
    """

    score: ScoreNetwork | GaussianNetwork
    noise_schedule: diffusion.Schedule
    critic: CriticNetworks


class PolicyParams(NamedTuple):
    """A policy's parameters, of one seed or stacked along `[seeds]`."""

    score: Any
    q_h: Any
    v_h: Any


def save(directory: Path, score: Any, feasibility: TrainedCritic, config: dict[str, Any]) -> None:
    """Write what acting needs: the policy's network and the feasibility critic, all seeds.

    Args:
        directory: an existing folder.
        score: parameters of the network that acts, stacked along `[seeds]`.
        feasibility: the critic that chooses among candidates.
        config: what rebuilds the network: the keys that `load` reads.
    """
    checkpoint.save(directory, score, config)
    (directory / FEASIBILITY).mkdir()
    critic_params = {"q": feasibility.q, "v": feasibility.v}
    checkpoint.save(directory / FEASIBILITY, critic_params, feasibility.config)


def load(directory: Path, config: dict[str, Any]) -> tuple[PolicyNetworks, PolicyParams]:
    """Read a policy that `save` wrote: definitions, and parameters stacked along `[seeds]`.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    network, score = load_network(directory, config)
    critic = trained.load(directory / FEASIBILITY)
    for name in ("seeds", "observation_dim", "action_dim"):
        if critic.config[name] != config[name]:
            raise InputError(
                f"{directory}: the policy has `{name}` {config[name]} and its critic, in "
                f"{FEASIBILITY}, {critic.config[name]}"
            )
    networks = PolicyNetworks(network, diffusion.schedule(config["T"]), critic.networks)
    return networks, PolicyParams(score, critic.q, critic.v)


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
