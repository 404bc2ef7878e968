"""A policy drawn from the critics, acting: N candidates, of which an acting rule chooses one."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from fisor.agents import Agent, Step
from fisor.config.acting import Acting
from fisor.nn.networks import forward
from fisor.policies import diffusion, gaussian, one_step, stored
from fisor.policies.candidates import action_values, predict_noise, rounded
from fisor.policies.gaussian import GaussianNetwork
from fisor.policies.score_network import ScoreNetwork
from fisor.policies.stored import DrawingNetwork, PolicyNetworks, PolicyParams

__all__ = ["Acting", "agent"]

Array = jax.Array

PROPOSALS = 2**31 - 1  # folded into a key; the samplers split theirs, which folds in 0 and 1


def act(
    networks: PolicyNetworks, params: PolicyParams, observations: Array, key: Array, acting: Acting
) -> Array:
    """Draw N candidates for each observation, of which the acting rule chooses. Consumes `key`.

    Args:
        networks: definitions.
        params: parameters of one seed.
        observations: `[B, obs_dim]`.
        key: a key; the candidates are the same by either rule.
        acting: N, the sampler, the precision and the rule.

    Returns:
        `[B, action_dim]` actions in [-1, 1].
    """
    actions = draw(
        networks.score, networks.noise_schedule, params.score, observations, key, acting.sampler,
        acting.N, acting.acting_precision,
    )  # fmt: skip
    lowest_violation = acting.acting_rule == "lowest_violation"
    if lowest_violation and acting.N == 1:
        return actions
    grouped = actions.reshape(-1, acting.N, actions.shape[-1])
    q_h = action_values(params.q_h, observations, grouped).max(axis=0)
    if lowest_violation:
        return _picked(grouped, q_h.argmin(axis=1))
    q_r = action_values(params.q_r, observations, grouped).min(axis=0)
    size = observations.shape[0], acting.proposals, actions.shape[-1]
    proposals = jax.random.uniform(jax.random.fold_in(key, PROPOSALS), size, minval=-1, maxval=1)
    q_h_of_proposals = action_values(params.q_h, observations, proposals).max(axis=0)
    return best_feasible(grouped, q_h, q_r, proposals, q_h_of_proposals, acting.margin)


def best_feasible(
    candidates: Array,
    q_h: Array,
    q_r: Array,
    proposals: Array,
    q_h_of_proposals: Array,
    margin: float,
) -> Array:
    """Of the candidates with Q_h <= -margin the one of highest Q_r; if none, the lowest Q_h of all.

    This rule is not the paper's, which takes the candidate of lowest Q_h.

    Args:
        candidates: `[B, N, action_dim]` drawn from the policy.
        q_h: `[B, N]` their feasible action values.
        q_r: `[B, N]` their reward action values.
        proposals: `[B, M, action_dim]` further actions for where no candidate is feasible.
        q_h_of_proposals: `[B, M]`.
        margin: at least 0, in units of h.

    Returns:
        `[B, action_dim]`.
    """
    feasible = q_h <= -margin
    best = _picked(candidates, jnp.where(feasible, q_r, -jnp.inf).argmax(axis=1))
    both = jnp.concatenate([candidates, proposals], axis=1)
    safest = _picked(both, jnp.concatenate([q_h, q_h_of_proposals], axis=1).argmin(axis=1))
    return jnp.where(feasible.any(axis=1, keepdims=True), best, safest)


def _picked(actions: Array, of_each: Array) -> Array:
    """Of `[B, N, action_dim]` actions that of index `of_each` `[B]`."""
    return jnp.take_along_axis(actions, of_each[:, None, None], axis=1)[:, 0]


def draw(
    network: DrawingNetwork,
    noise_schedule: diffusion.Schedule,
    params: Any,
    observations: Array,
    key: Array,
    sampler: str,
    N: int = 1,
    precision: str = "float32",
) -> Array:
    """N actions of the policy for each of `[B, obs_dim]` observations. Consumes `key`.

    Args:
        network: of the policy.
        noise_schedule: of a diffusion policy.
        params: the network's parameters; a diffusion policy's may be `rounded`.
        observations: `[B, obs_dim]`.
        key: a key.
        sampler: of a diffusion policy.
        N: actions of each observation.
        precision: of the network's products.

    Returns:
        `[B * N, action_dim]`; an observation's actions are consecutive rows.
    """
    if isinstance(network, ScoreNetwork):
        predict = predict_noise(network, params, observations, N, precision)
        shape = (observations.shape[0] * N, network.action_dim)
        return diffusion.SAMPLERS[sampler](noise_schedule, predict, key, shape)
    repeated = jnp.repeat(observations, N, axis=0)
    if isinstance(network, GaussianNetwork):
        gaussian_network = dataclasses.replace(network, product_precision=precision)
        return gaussian.sample(gaussian_network, params, repeated, key)
    one_step_network = dataclasses.replace(network, product_precision=precision)
    return one_step.sample(one_step_network, params, repeated, key)


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder, acting by N candidates.

    The Q_h and V_h that it has also judge other actions (`fisor.monitor`).

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    networks, params = stored.load(directory, config)
    if isinstance(networks.score, ScoreNetwork):
        params = params._replace(score=rounded(params.score, acting.acting_precision))

    def act_in(
        params: PolicyParams, memory: tuple[()], step: Step, key: Array
    ) -> tuple[Array, tuple[()]]:
        return act(networks, params, step.observation[None], key, acting)[0], memory

    def feasible_value(params: PolicyParams, observations: Array) -> Array:
        return forward(networks.critic.v, params.v_h, observations)

    def feasible_action_value(params: PolicyParams, observations: Array, actions: Array) -> Array:
        return forward(networks.critic.q, params.q_h, observations, actions).max(axis=0)

    return Agent(params, config["action_dim"], tuple, act_in, feasible_value, feasible_action_value)
