"""CPQ, constraints penalised Q-learning (Xu et al., AAAI 2022).

Actions that the dataset does not have count as unsafe, and values of unsafe actions as 0.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fisor.agents import Agent
from fisor.baselines import actors
from fisor.baselines.actors import Gaussian, GaussianActor
from fisor.baselines.baseline import Fit, Problem, Trained
from fisor.baselines.critics import Critics, regression_loss
from fisor.baselines.limits import discounted_limit
from fisor.baselines.vae import VAE, VAETraining, divergence
from fisor.config.baseline import BaselineActing
from fisor.config.section import setting
from fisor.critics.losses import bellman_target
from fisor.data.transitions import Transitions
from fisor.nn.optimiser import Learner, begin, descend, optimiser

Array = jax.Array

NETWORKS = 2  # of rewards, and of costs
UNSAFE_LIMITS = 1.5  # what the cost value of other actions than the dataset's should be
LOG_ALPHA_BOUND = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(VAETraining):
    """CPQ's parameters of training.

    Attributes:
        alpha_learning_rate: of alpha, the weight of the out-of-distribution term.
        ood_gradient: whether that term teaches the cost critics; false as in OSRL.
    """

    alpha_learning_rate: float = setting(gt=0, lt=1, by_task=True)
    ood_gradient: bool = setting()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(BaselineActing):
    """CPQ acts in one way: by the policy's mean."""


class State(NamedTuple):
    """What the training of one seed carries."""

    vae: Learner
    critics: Learner
    policy: Learner
    target_critics: Any
    log_alpha: Array


def target(
    reward: Array,
    next_value: Array,
    next_cost_value: Array,
    terminal: Array,
    gamma: float,
    limit: float,
) -> Array:
    """The penalised Bellman target of Q_r: r + gamma 1[Q_c(s', a') <= l] Q_r(s', a').

    Args:
        reward: `[...]`.
        next_value: `[...]` Q_r.
        next_cost_value: `[...]` Q_c.
        terminal: `[...]` bool, whether nothing follows.
        gamma: discount.
        limit: l.
    """
    safe = jnp.where(next_cost_value <= limit, next_value, 0.0)
    return bellman_target(reward, safe, terminal, gamma)


def policy_loss(value: Array, cost_value: Array, limit: float) -> Array:
    """-1[Q_c(s, a) <= l] Q_r(s, a), `[...]`."""
    return -jnp.where(cost_value <= limit, value, 0.0)


def out_of_distribution(divergences: Array) -> Array:
    """Which actions the dataset does not have: KL at least the 75th percentile, `[n]` -> `[k]`.

    The indices of the k = n - ceil(3 (n - 1) / 4) largest; between equal ones, the first.
    """
    n = divergences.shape[0]
    return jax.lax.top_k(divergences, n - -(-3 * (n - 1) // 4))[1]


def ood_loss(cost_value: Array, log_alpha: Array, threshold: float) -> Array:
    """-alpha (Q_c(s, a) - threshold), `[...]`, of actions that the dataset does not have."""
    return -jnp.exp(log_alpha) * (cost_value - threshold)


def mean_ood_value(
    critics: Critics, params: Any, states: Array, actions: Array, ood_gradient: bool
) -> Array:
    """The mean of min Q_c over `[k, obs_dim]` and `[k, action_dim]`, `[]`.

    Without `ood_gradient` it counts as a constant.
    """
    taught = params if ood_gradient else jax.lax.stop_gradient(params)
    return critics.of_costs(taught, states, actions).min(axis=0).mean()


def next_log_alpha(
    log_alpha: Array, mean_cost_value: Array, threshold: float, rate: float
) -> Array:
    """One gradient step on alpha's logarithm, which maximises the mean `ood_loss`, `[]`.

    alpha grows while those actions' cost values are below the threshold; within [exp(-5), exp(5)].
    """
    rise = jnp.exp(log_alpha) * (threshold - mean_cost_value)
    return jnp.clip(log_alpha + rate * rise, -LOG_ALPHA_BOUND, LOG_ALPHA_BOUND)


def train(config: Config, problem: Problem, data: Transitions, fit: Fit) -> Trained:
    """Train every seed.

    Args:
        config: its parameters.
        problem: the limit and the horizon.
        data: the dataset, n transitions.
        fit: the training loop.
    """
    observation_dim, action_dim = data.observations.shape[-1], data.actions.shape[-1]
    vae = VAE.of(action_dim, config.vae_units, config.product_precision)
    critics = Critics.of(config, NETWORKS)
    policy = GaussianActor.of(config, action_dim)
    rates = config.vae_learning_rate, config.learning_rate, config.actor_learning_rate
    vae_adam, critic_adam, policy_adam = (optimiser(config, rate) for rate in rates)
    limit = discounted_limit(problem.limit(config.cost_limit), config.gamma, problem.horizon_steps)
    threshold = UNSAFE_LIMITS * limit

    def init(key: Array) -> State:
        vae_key, critics_key, policy_key = jax.random.split(key, 3)
        values = critics.fresh(critics_key, observation_dim, action_dim)
        return State(
            begin(vae_adam, vae.fresh(vae_key, observation_dim)),
            begin(critic_adam, values),
            begin(policy_adam, actors.fresh(policy.network, policy_key, observation_dim)),
            values,
            jnp.zeros(()),
        )

    def unlike_data(
        vae_params: Any, gaussian: Gaussian, observations: Array, key: Array
    ) -> tuple[Array, Array]:
        """States `[k, obs_dim]` and actions of the policy there that the dataset does not have."""
        shape = config.sampled_actions, *gaussian.mean.shape
        drawn = Gaussian(*(jnp.broadcast_to(leaf[None], shape) for leaf in gaussian))
        actions = drawn.sample(key)[0].reshape(-1, action_dim)
        states = jnp.tile(observations, (config.sampled_actions, 1))
        chosen = out_of_distribution(jax.vmap(divergence)(vae.encode(vae_params, states, actions)))
        return states[chosen], actions[chosen]

    def update(state: State, batch: Any, key: Array) -> tuple[State, dict[str, Array]]:
        rows, _ = batch
        vae_key, next_key, ood_key, policy_key = jax.random.split(key, 4)
        autoencoder, vae_loss = vae.learn(
            vae_adam, state.vae, rows.observations, rows.actions, vae_key
        )

        next_actions, _ = policy(state.policy.params, rows.next_observations).sample(next_key)
        next_values, next_cost_values = critics.lowest(
            state.target_critics, rows.next_observations, next_actions
        )
        targets = (
            target(
                config.reward_scale * rows.rewards,
                next_values,
                next_cost_values,
                rows.terminals,
                config.gamma,
                limit,
            ),
            bellman_target(rows.costs, next_cost_values, rows.terminals, config.gamma),
        )
        gaussian = policy(state.policy.params, rows.observations)
        unlike = unlike_data(autoencoder.params, gaussian, rows.observations, ood_key)

        def critics_loss(params: Any) -> tuple[Array, Any]:
            values = critics(params, rows.observations, rows.actions)
            value_loss, cost_value_loss = map(regression_loss, values, targets)
            unlike_value = mean_ood_value(critics, params, *unlike, config.ood_gradient)
            ood = ood_loss(unlike_value, state.log_alpha, threshold)
            losses = value_loss, cost_value_loss, ood
            return sum(losses, jnp.zeros(())), (losses, unlike_value)

        learned, _, (losses, unlike_value) = descend(critic_adam, state.critics, critics_loss)
        log_alpha = next_log_alpha(
            state.log_alpha, unlike_value, threshold, config.alpha_learning_rate
        )

        def mean_policy_loss(params: Any) -> tuple[Array, Array]:
            actions, _ = policy(params, rows.observations).sample(policy_key)
            value, cost_value = critics.lowest(learned.params, rows.observations, actions)
            return policy_loss(value, cost_value, limit).mean(), cost_value.mean()

        actor, policy_mean_loss, cost_value = descend(policy_adam, state.policy, mean_policy_loss)
        metrics = {
            "vae_loss": vae_loss,
            "critic_loss": losses[0],
            "cost_critic_loss": losses[1],
            "ood_loss": losses[2],
            "policy_loss": policy_mean_loss,
            "alpha": jnp.exp(state.log_alpha),
            "cost_value_mean": cost_value,
        }
        target_critics = optax.incremental_update(
            learned.params, state.target_critics, config.soft_update
        )
        return State(autoencoder, learned, actor, target_critics, log_alpha), metrics

    states, curve = fit(init, update, data._replace(violations=None), batch_size=config.batch_size)
    return Trained(states.policy.params, actors.sizes(config), curve)


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    return actors.gaussian_agent(directory, config)
