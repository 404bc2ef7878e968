"""BCQ-Lag: batch-constrained Q-learning whose policy pays for costs by a Lagrange multiplier.

BCQ (Fujimoto et al. 2019) with a PID Lagrangian (Stooke et al. 2020), as DSRL's benchmark has it.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from fisor.agents import Agent, Step
from fisor.baselines import actors
from fisor.baselines.baseline import Fit, Problem, Trained
from fisor.baselines.critics import Critics, regression_loss
from fisor.baselines.limits import Gains, Multiplier, discounted_limit, pid
from fisor.baselines.vae import VAE, VAETraining
from fisor.config.baseline import BaselineActing
from fisor.config.section import setting
from fisor.critics.losses import bellman_target
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.nn import checkpoint
from fisor.nn.networks import dense, forward
from fisor.nn.optimiser import Learner, begin, descend, optimiser

Array = jax.Array

PAIRS = 2  # two values, each the minimum of two networks
NETWORKS = 2 * PAIRS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(VAETraining):
    """BCQ-Lag's parameters of training.

    Attributes:
        minimum_weight: lambda of BCQ's target, of the lower of two values.
        perturbation: Phi, the most by which the policy changes an entry of a drawn action.
        proportional_gain: of the multiplier's PID controller.
        integral_gain: the same.
        derivative_gain: the same.
    """

    minimum_weight: float = setting(ge=0, le=1)
    perturbation: float = setting(gt=0, le=2, by_task=True)
    proportional_gain: float = setting(ge=0)
    integral_gain: float = setting(ge=0)
    derivative_gain: float = setting(ge=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(BaselineActing):
    """BCQ-Lag acts in one way: by one drawn action, perturbed."""


class Perturbation(nn.Module):
    """xi(s, a): `[..., obs_dim]`, `[..., action_dim]` -> a nearby action, in [-1, 1]."""

    hidden_layers: int
    hidden_units: int
    largest: float
    product_precision: str = "float32"

    @nn.compact
    def __call__(self, observations: Array, actions: Array) -> Array:
        """The actions, each entry changed by at most `largest`."""
        x = jnp.concatenate([observations, actions], axis=-1)
        for _ in range(self.hidden_layers):
            x = jnp.tanh(dense(self.hidden_units, self.product_precision)(x))
        change = jnp.tanh(dense(actions.shape[-1], self.product_precision)(x))
        return jnp.clip(actions + self.largest * change, -1.0, 1.0)


class Policy(NamedTuple):
    """A drawn action, perturbed."""

    vae: VAE
    perturbation: Perturbation

    def fresh(self, key: Array, observation_dim: int) -> Any:
        """First parameters of the perturbation. Consumes `key`."""
        rows = jnp.zeros((1, observation_dim)), jnp.zeros((1, self.vae.decoder.outputs))
        return self.perturbation.init(key, *rows)

    def __call__(self, vae: Any, params: Any, observations: Array, key: Array) -> Array:
        """One action in each state, `[..., obs_dim]` -> `[..., action_dim]`. Consumes `key`."""
        drawn = self.vae.draw(vae, observations, key)
        return forward(self.perturbation, params, observations, drawn)


class State(NamedTuple):
    """What the training of one seed carries."""

    vae: Learner
    critics: Learner
    policy: Learner
    target_critics: Any
    target_policy: Any
    multiplier: Multiplier


def soft_minimum(values: Array, minimum_weight: float) -> Array:
    """BCQ's mean of two values: lambda min(Q_1, Q_2) + (1 - lambda) max(Q_1, Q_2).

    Args:
        values: `[4, ...]` of the networks; Q_1 is the minimum of the first two, Q_2 of the others.
        minimum_weight: lambda.
    """
    pairs = values.reshape(PAIRS, NETWORKS // PAIRS, *values.shape[1:]).min(axis=1)
    return minimum_weight * pairs.min(axis=0) + (1 - minimum_weight) * pairs.max(axis=0)


def target(
    signal: Array, next_values: Array, terminal: Array, gamma: float, minimum_weight: float
) -> Array:
    """What Q(s, a) is regressed on: r + gamma max_i soft_minimum(Q(s', a_i)) (BCQ, Algorithm 1).

    Args:
        signal: `[...]` the reward; the cost, for Q_c.
        next_values: `[4, ..., sampled_actions]` of the target networks.
        terminal: `[...]` bool, whether nothing follows.
        gamma: discount.
        minimum_weight: lambda.
    """
    highest = soft_minimum(next_values, minimum_weight).max(axis=-1)
    return bellman_target(signal, highest, terminal, gamma)


def policy_loss(value: Array, cost_value: Array, multiplier: Array, limit: float) -> Array:
    """-Q_r + multiplier (Q_c - limit), `[...]`; the multiplier is `[]`."""
    return multiplier * (cost_value - limit) - value


def train(config: Config, problem: Problem, data: Transitions, fit: Fit) -> Trained:
    """Train every seed.

    Args:
        config: its parameters.
        problem: the limit and the horizon.
        data: the dataset, n transitions.
        fit: the training loop.
    """
    observation_dim, action_dim = data.observations.shape[-1], data.actions.shape[-1]
    critics = Critics.of(config, NETWORKS)
    sizes = config.hidden_layers, config.hidden_units
    policy = Policy(
        VAE.of(action_dim, config.vae_units, config.product_precision),
        Perturbation(*sizes, config.perturbation, config.product_precision),
    )
    rates = config.vae_learning_rate, config.learning_rate, config.actor_learning_rate
    vae_adam, critic_adam, policy_adam = (optimiser(config, rate) for rate in rates)
    limit = discounted_limit(problem.limit(config.cost_limit), config.gamma, problem.horizon_steps)
    gains = Gains(config.proportional_gain, config.integral_gain, config.derivative_gain)

    def init(key: Array) -> State:
        vae_key, critics_key, policy_key = jax.random.split(key, 3)
        values = critics.fresh(critics_key, observation_dim, action_dim)
        perturbation = policy.fresh(policy_key, observation_dim)
        return State(
            begin(vae_adam, policy.vae.fresh(vae_key, observation_dim)),
            begin(critic_adam, values),
            begin(policy_adam, perturbation),
            values,
            perturbation,
            Multiplier.begin(),
        )

    def update(state: State, batch: Any, key: Array) -> tuple[State, dict[str, Array]]:
        rows, _ = batch
        vae_key, target_key, policy_key = jax.random.split(key, 3)
        vae, vae_loss = policy.vae.learn(
            vae_adam, state.vae, rows.observations, rows.actions, vae_key
        )

        next_observations = jnp.repeat(
            rows.next_observations[:, None], config.sampled_actions, axis=1
        )
        next_actions = policy(vae.params, state.target_policy, next_observations, target_key)
        next_values = critics(state.target_critics, next_observations, next_actions)
        signals = config.reward_scale * rows.rewards, rows.costs
        targets = [
            target(signal, values, rows.terminals, config.gamma, config.minimum_weight)
            for signal, values in zip(signals, next_values, strict=True)
        ]

        def critics_loss(params: Any) -> tuple[Array, tuple[Array, ...]]:
            values = critics(params, rows.observations, rows.actions)
            losses = tuple(map(regression_loss, values, targets))
            return losses[0] + losses[1], losses

        learned, _, (value_loss, cost_value_loss) = descend(
            critic_adam, state.critics, critics_loss
        )

        def mean_policy_loss(params: Any) -> tuple[Array, Any]:
            actions = policy(vae.params, params, rows.observations, policy_key)
            value, cost_value = critics.lowest(learned.params, rows.observations, actions)
            error = jax.lax.stop_gradient(cost_value.mean() - limit)
            memory, multiplier = pid(state.multiplier, error, gains)
            losses = policy_loss(value, cost_value, multiplier, limit)
            return losses.mean(), (memory, multiplier, cost_value.mean())

        perturbation, policy_mean_loss, (memory, multiplier, cost_value) = descend(
            policy_adam, state.policy, mean_policy_loss
        )

        target_critics, target_policy = optax.incremental_update(
            (learned.params, perturbation.params),
            (state.target_critics, state.target_policy),
            config.soft_update,
        )
        metrics = {
            "vae_loss": vae_loss,
            "critic_loss": value_loss,
            "cost_critic_loss": cost_value_loss,
            "policy_loss": policy_mean_loss,
            "multiplier": multiplier,
            "cost_value_mean": cost_value,
        }
        return State(vae, learned, perturbation, target_critics, target_policy, memory), metrics

    states, curve = fit(init, update, data._replace(violations=None), batch_size=config.batch_size)
    params = {"decoder": states.vae.params["decoder"], "perturbation": states.policy.params}
    stored = {"vae_units": config.vae_units, "perturbation": config.perturbation}
    return Trained(params, {**actors.sizes(config), **stored}, curve)


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder: one drawn action, perturbed, as DSRL's benchmark evaluates it.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    names = "observation_dim", "action_dim", "vae_units", *actors.SIZES
    observation_dim, action_dim, vae_units, layers, units = (
        checkpoint.size(config, name, directory) for name in names
    )
    largest = config.get("perturbation")
    if not isinstance(largest, float):
        raise InputError(
            f"{directory / checkpoint.CONFIG}: `perturbation` must be a number, not {largest!r}"
        )
    policy = Policy(VAE.of(action_dim, vae_units), Perturbation(layers, units, largest))

    def init(key: Array) -> Any:
        decoder = policy.vae.fresh(key, observation_dim)["decoder"]
        return {"decoder": decoder, "perturbation": policy.fresh(key, observation_dim)}

    def act(params: Any, memory: tuple[()], step: Step, key: Array) -> tuple[Array, tuple[()]]:
        return policy(params, params["perturbation"], step.observation[None], key)[0], memory

    return Agent(actors.load(directory, config, init), action_dim, tuple, act)
