"""A policy drawn from the critics, acting: of N candidates, the one of lowest Q_h."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from fisor.agents import Agent, Step
from fisor.config.acting import Acting
from fisor.nn.networks import forward
from fisor.policies import diffusion, gaussian, stored
from fisor.policies.gaussian import GaussianNetwork
from fisor.policies.score_network import ScoreNetwork
from fisor.policies.stored import PolicyNetworks, PolicyParams

__all__ = ["Acting", "agent"]

Array = jax.Array


def act(
    networks: PolicyNetworks, params: PolicyParams, observations: Array, key: Array, acting: Acting
) -> Array:
    """Draw N candidates for each observation; the one of lowest Q_h acts. Consumes `key`.

    Args:
        networks: definitions.
        params: parameters of one seed.
        observations: `[B, obs_dim]`.
        key: a key.
        acting: N and the sampler.

    Returns:
        `[B, action_dim]` actions in [-1, 1].
    """
    repeated = jnp.repeat(observations, acting.N, axis=0)
    actions = draw(
        networks.score, networks.noise_schedule, params.score, repeated, key, acting.sampler
    )
    if acting.N == 1:
        return actions
    q_h = forward(networks.critic.q, params.q_h, repeated, actions).max(axis=0)
    safest = q_h.reshape(-1, acting.N).argmin(axis=1)
    grouped = actions.reshape(-1, acting.N, actions.shape[-1])
    return jnp.take_along_axis(grouped, safest[:, None, None], axis=1)[:, 0]


def draw(
    network: ScoreNetwork | GaussianNetwork,
    noise_schedule: diffusion.Schedule,
    params: Any,
    observations: Array,
    key: Array,
    sampler: str,
) -> Array:
    """One action of the policy for each observation, `[B, action_dim]`. Consumes `key`."""
    if isinstance(network, GaussianNetwork):
        return gaussian.sample(network, params, observations, key)

    def predict_noise(noisy: Array, time: Array) -> Array:
        return forward(network, params, observations, noisy, time)

    shape = (observations.shape[0], network.action_dim)
    return diffusion.SAMPLERS[sampler](noise_schedule, predict_noise, key, shape)


def refuse_unknown_sampler(name: str) -> None:
    """Raise `ValueError` for a sampler that there is not."""
    if name not in diffusion.SAMPLERS:
        known = ", ".join(diffusion.SAMPLERS)
        raise ValueError(f"sampler must be one of {known}, not {name}")


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder, acting by N candidates.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
        ValueError: an acting parameter is out of range.
    """
    refuse_unknown_sampler(acting.sampler)
    if acting.N < 1:
        raise ValueError(f"N must be at least 1, not {acting.N}")
    networks, params = stored.load(directory, config)

    def act_in(
        params: PolicyParams, memory: tuple[()], step: Step, key: Array
    ) -> tuple[Array, tuple[()]]:
        return act(networks, params, step.observation[None], key, acting)[0], memory

    def feasible_value(params: PolicyParams, observations: Array) -> Array:
        return forward(networks.critic.v, params.v_h, observations)

    return Agent(params, config["action_dim"], tuple, act_in, feasible_value)
