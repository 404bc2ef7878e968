"""COptiDICE (Lee et al., ICLR 2022): corrections of the data's distribution under a cost limit."""

import dataclasses
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fisor.agents import Agent
from fisor.baselines import actors
from fisor.baselines import coptidice_losses as losses
from fisor.baselines.actors import GaussianActor
from fisor.baselines.baseline import Fit, Problem, Trained
from fisor.baselines.limits import discounted_limit
from fisor.config.baseline import BaselineActing, NetworkTraining
from fisor.config.section import setting
from fisor.data.transitions import Transitions
from fisor.nn.networks import ScalarMLP, forward
from fisor.nn.optimiser import Learner, begin, descend, optimiser

Array = jax.Array

LEAST_MULTIPLIER = 1e-6  # tau divides


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(NetworkTraining):
    """COptiDICE's parameters of training; `learning_rate` is that of nu and chi.

    Attributes:
        actor_learning_rate: the policy's.
        multiplier_learning_rate: of lambda and tau.
        gamma: discount.
        reward_scale: rewards are multiplied by it.
        alpha: of the divergence from the data, in units of a scaled reward.
        epsilon: radius of the cost's upper bound, as a Kullback-Leibler divergence.
        cost_limit: cost per episode; None: the task's.
        cost_threshold: what the expected cost is compared with, see `threshold`.
        regression_noise: deviation of the noise on the policy's observations and actions, as a
            share of the data's.
    """

    actor_learning_rate: float = setting(gt=0, lt=1, by_task=True)
    multiplier_learning_rate: float = setting(gt=0, lt=1, by_task=True)
    gamma: float = setting(gt=0, lt=1)
    reward_scale: float = setting(gt=0)
    alpha: float = setting(gt=0, by_task=True)
    epsilon: float = setting(gt=0)
    cost_limit: float | None = setting(ge=0)
    cost_threshold: Literal["normalised", "discounted"] = setting()
    regression_noise: float = setting(ge=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(BaselineActing):
    """COptiDICE acts in one way."""


def multipliers_of(raw: tuple[Array, Array]) -> Array:
    """Both tau and lambda, `[2]`, above 0, from what is learned."""
    return jax.nn.softplus(jnp.stack(raw)) + LEAST_MULTIPLIER


class State(NamedTuple):
    """What the training of one seed carries.

    Attributes:
        nu: two networks' parameters, stacked.
        chi: the same.
        multipliers: what tau and lambda are made of, see `multipliers_of`.
        policy: the actor's parameters.
    """

    nu: Learner
    chi: Learner
    multipliers: Learner
    policy: Learner


def threshold(config: Config, problem: Problem) -> float:
    """What the expected cost E_d[c] of a step is compared with.

    The distribution d(s, a) = (1 - gamma) sum_t gamma^t P(s_t = s, a_t = a) is normalised, so
    E_d[c] = (1 - gamma) E[sum_t gamma^t c_t]; what follows an episode's end costs nothing on either
    side. A limit on the discounted sum is therefore (1 - gamma) times as large as one on E_d[c]:
    `normalised`. OSRL compares E_d[c] with the limit on the sum itself: `discounted`. With gamma
    0.99 that is 100 times too much, and where a step costs at most 1 it never binds once the limit
    on the sum is above 1.
    """
    limit = problem.limit(config.cost_limit)
    discounted = discounted_limit(limit, config.gamma, problem.horizon_steps)
    return (1 - config.gamma) * discounted if config.cost_threshold == "normalised" else discounted


def initial_observations(data: Transitions, step: np.ndarray) -> np.ndarray:
    """An episode's first observation for each row, all drawn alike, `[n, obs_dim]`.

    They are the s_0 of a row (s_0, s, a, s'), independent of the rest, which the bound of the cost
    needs: it is not linear in chi(s_0), so a weight on the initial rows alone would not do. They
    take as much memory as the observations, also where those are memory-mapped.
    """
    first = data.observations[np.flatnonzero(step == 0)]
    order = np.random.default_rng(0).permutation(len(step)) % len(first)
    return first[order]


def deviation(values: np.ndarray) -> np.ndarray:
    """Standard deviation of each column of `[n, m]`, summed in float64, as float32 `[m]`."""
    mean = values.mean(axis=0, dtype=np.float64)
    squares = np.einsum("nm,nm->m", values, values, dtype=np.float64) / len(values)
    return np.sqrt(np.maximum(squares - mean**2, 0)).astype(np.float32)


def train(config: Config, problem: Problem, data: Transitions, fit: Fit) -> Trained:
    """Train every seed: one joint step of nu, chi, tau, lambda and the policy per batch.

    Args:
        config: its parameters.
        problem: for the limit, the horizon and the initial states.
        data: the dataset, n transitions.
        fit: the training loop.
    """
    observation_dim, gamma = data.observations.shape[-1], config.gamma
    actor = GaussianActor.of(config, data.actions.shape[-1])
    network = ScalarMLP(config.hidden_layers, config.hidden_units, config.product_precision)
    rates = config.learning_rate, config.multiplier_learning_rate, config.actor_learning_rate
    adam, multipliers_adam, actor_adam = (optimiser(config, rate) for rate in rates)
    at_most = threshold(config, problem)
    noises = [config.regression_noise * deviation(v) for v in (data.observations, data.actions)]

    def init(key: Array) -> State:
        nu_key, chi_key, policy_key = jax.random.split(key, 3)

        def twins(key: Array) -> Learner:
            fresh = jax.vmap(lambda key: network.init(key, jnp.zeros((1, observation_dim))))
            return begin(adam, fresh(jax.random.split(key)))

        return State(
            twins(nu_key),
            twins(chi_key),
            begin(multipliers_adam, (jnp.ones(()), jnp.ones(()))),
            begin(actor_adam, actors.fresh(actor.network, policy_key, observation_dim)),
        )

    def update(state: State, batch: Any, key: Array) -> tuple[State, dict[str, Array]]:
        (rows, initial), _ = batch
        temperature, multiplier = multipliers_of(state.multipliers.params)
        observations = jnp.concatenate([initial, rows.observations, rows.next_observations])

        def values(params: Any) -> tuple[Array, Array]:
            """The lower of two networks for s_0, and its `difference` from s to s', `[B]` each."""
            both = jax.vmap(lambda params: forward(network, params, observations))(params)
            first, here, there = jnp.split(both.min(axis=0), 3)
            per_row = jax.vmap(losses.difference, (0, 0, 0, None))
            return first, per_row(here, there, rows.terminals, gamma)

        def nu_loss(params: Any) -> tuple[Array, Array]:
            nu_initial, nu_difference = values(params)
            rewards = config.reward_scale * rows.rewards
            per_row = jax.vmap(losses.advantage, (0, 0, 0, None))
            e = per_row(rewards, rows.costs, nu_difference, multiplier)
            of_rows, weights = jax.vmap(losses.nu_loss, (0, 0, None, None))(
                nu_initial, e, gamma, config.alpha
            )
            return of_rows.mean(), weights

        nu, nu_value, weights = descend(adam, state.nu, nu_loss)

        def chi_loss(params: Any) -> tuple[Array, Array]:
            per_row = jax.vmap(losses.cost_residual, (0, 0, 0, 0, None))
            residuals = per_row(weights, rows.costs, *values(params), gamma)
            return losses.bound_loss(residuals, temperature, config.epsilon), residuals

        chi, bound, residuals = descend(adam, state.chi, chi_loss)
        pessimism = losses.pessimism(residuals, temperature)
        cost = (pessimism * weights * rows.costs).mean()

        def multipliers_loss(raw: tuple[Array, Array]) -> tuple[Array, None]:
            tau, lagrange = multipliers_of(raw)
            of_tau = losses.bound_loss(residuals, tau, config.epsilon)
            return of_tau + losses.multiplier_loss(lagrange, cost, at_most), None

        multipliers, _, _ = descend(multipliers_adam, state.multipliers, multipliers_loss)

        noisy = [
            values + noise[None] * jax.random.normal(noise_key, values.shape)
            for values, noise, noise_key in zip(
                (rows.observations, rows.actions), noises, jax.random.split(key), strict=True
            )
        ]

        def policy_loss(params: Any) -> tuple[Array, None]:
            log_density = actor(params, noisy[0]).log_density(noisy[1])
            return jax.vmap(losses.policy_loss)(weights, log_density).mean(), None

        policy, policy_value, _ = descend(actor_adam, state.policy, policy_loss)
        return State(nu, chi, multipliers, policy), {
            "nu_loss": nu_value,
            "chi_loss": bound,
            "policy_loss": policy_value,
            "weighted_cost": cost,
            "multiplier": multiplier,
            "temperature": temperature,
        }

    names = "observations", "actions", "next_observations", "rewards", "costs", "terminals"
    states, curve = fit(
        init,
        update,
        (data.only(*names), initial_observations(data, problem.step)),
        batch_size=config.batch_size,
    )
    return Trained(states.policy.params, actors.sizes(config), curve)


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    return actors.gaussian_agent(directory, config)
