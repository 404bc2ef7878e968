"""RC-TD3BC (Appendix D.7): TD3+BC under the constraint that Q_h is at most 0 in every state.

After reachability constrained RL (RCRL, Yu et al. 2022): Q_h is the policy's own feasible value,
and each state has its own multiplier, by a network. h is made of the costs alone, by `M`; where a
dataset has a dense h, this method does not read it.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fisor.agents import Agent
from fisor.baselines import actors, td3bc
from fisor.baselines.actors import Actor
from fisor.baselines.baseline import Fit, Problem, Trained
from fisor.baselines.td3bc import TD3BCTraining
from fisor.baselines.tracked import Tracked, fresh_twins, regress, twins
from fisor.config.baseline import BaselineActing
from fisor.config.section import setting
from fisor.critics.feasibility import feasible_target
from fisor.critics.losses import bellman_target
from fisor.data.labels import violation_from_cost
from fisor.data.transitions import Transitions
from fisor.nn.networks import ScalarMLP, forward
from fisor.nn.optimiser import Learner, begin, descend, optimiser

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TD3BCTraining):
    """RC-TD3BC's parameters of training.

    Attributes:
        M: h where the cost is positive; -1 elsewhere.
        multiplier_learning_rate: the multiplier's, below the policy's.
        largest_multiplier: of the policy's loss; from there on the multiplier only falls.
    """

    M: float = setting(gt=0)
    multiplier_learning_rate: float = setting(gt=0, lt=1, by_task=True)
    largest_multiplier: float = setting(gt=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(BaselineActing):
    """RC-TD3BC acts in one way."""


def policy_loss(
    action: Array, data_action: Array, q_r: Array, q_h: Array, weight: Array, multiplier: Array
) -> Array:
    """(pi(s) - a)^2 - lambda_1 Q_r + lambda_2(s) Q_h, both at (s, pi(s)) (Appendix D.7).

    Args:
        action: `[action_dim]` pi(s).
        data_action: `[action_dim]` a.
        q_r: `[]` the reward's action value.
        q_h: `[]` the feasible action value, above 0 where a violation will come.
        weight: `[]` lambda_1, TD3+BC's.
        multiplier: `[]` lambda_2(s), at least 0.
    """
    return td3bc.policy_loss(action, data_action, q_r, weight) + multiplier * q_h


def multiplier_loss(multiplier: Array, q_h: Array, largest: float) -> Array:
    """-lambda_2(s) Q_h(s, pi(s)): the dual's ascent (Yu et al. 2022), which stops at a bound.

    Args:
        multiplier: `[]` lambda_2(s).
        q_h: `[]` through which no gradient goes.
        largest: the bound; from there on the multiplier only falls.
    """
    at_bound = (multiplier >= largest) & (q_h > 0)
    return jnp.where(at_bound, 0.0, -multiplier * q_h)


class State(NamedTuple):
    """What training carries.

    Attributes:
        actor: the policy.
        q_r: the twins of the reward.
        q_h: the twins of the violation.
        multiplier: the network whose softplus is lambda_2(s).
        updates: `[]` int32, done.
    """

    actor: Tracked
    q_r: Tracked
    q_h: Tracked
    multiplier: Learner
    updates: Array


def train(config: Config, problem: Problem, data: Transitions, fit: Fit) -> Trained:
    """Train every seed.

    Args:
        config: its parameters.
        problem: not used.
        data: the dataset, n transitions.
        fit: the training loop.
    """
    observation_dim, action_dim = data.observations.shape[-1], data.actions.shape[-1]
    policy, q = Actor.of(config, action_dim), twins(config)
    unbounded = ScalarMLP(config.hidden_layers, config.hidden_units, config.product_precision)
    adam, actor_adam = (
        optimiser(config),
        td3bc.delayed_optimiser(config, config.actor_learning_rate),
    )
    multiplier_adam = td3bc.delayed_optimiser(config, config.multiplier_learning_rate)

    def init(key: Array) -> State:
        actor_key, q_r_key, q_h_key, multiplier_key = jax.random.split(key, 4)
        multiplier = unbounded.init(multiplier_key, jnp.zeros((1, observation_dim)))
        q_r, q_h = (fresh_twins(q, k, observation_dim, action_dim) for k in (q_r_key, q_h_key))
        return State(
            Tracked.begin(actor_adam, actors.fresh(policy.network, actor_key, observation_dim)),
            Tracked.begin(adam, q_r),
            Tracked.begin(adam, q_h),
            begin(multiplier_adam, multiplier),
            jnp.zeros((), jnp.int32),
        )

    def multiplier_of(params: Any, observations: Array) -> Array:
        return jax.nn.softplus(forward(unbounded, params, observations))

    def update(state: State, batch: Any, key: Array) -> tuple[State, dict[str, Array]]:
        rows, _ = batch
        here, there = rows.observations, rows.next_observations

        next_actions = td3bc.target_actions(config, policy(state.actor.target, there), key)
        next_q_r = forward(q, state.q_r.target, there, next_actions).min(axis=0)
        next_q_h = forward(q, state.q_h.target, there, next_actions).max(axis=0)
        rewards = config.reward_scale * rows.rewards
        r_target = bellman_target(rewards, next_q_r, rows.terminals, config.gamma)
        h_target = feasible_target(rows.violations, next_q_h, rows.terminals, config.gamma)
        q_r, q_r_loss, q_r_mean = regress(adam, q, state.q_r, here, rows.actions, r_target)
        q_h, q_h_loss, q_h_mean = regress(adam, q, state.q_h, here, rows.actions, h_target)
        state = state._replace(q_r=q_r, q_h=q_h)
        multipliers = jnp.minimum(
            multiplier_of(state.multiplier.params, here), config.largest_multiplier
        )

        def mean_policy_loss(params: Any) -> tuple[Array, Array]:
            actions = policy(params, here)
            values_r = forward(q, q_r.params, here, actions)[0]
            values_h = forward(q, q_h.params, here, actions).max(axis=0)
            weight = td3bc.reward_weight(values_r, config.alpha)
            losses = jax.vmap(policy_loss, in_axes=(0, 0, 0, 0, None, 0))
            each = losses(actions, rows.actions, values_r, values_h, weight, multipliers)
            return each.mean(), values_h

        actor, loss, values_h = descend(actor_adam, state.actor.learner, mean_policy_loss)

        def mean_multiplier_loss(params: Any) -> tuple[Array, None]:
            losses = jax.vmap(multiplier_loss, in_axes=(0, 0, None))
            each = losses(multiplier_of(params, here), values_h, config.largest_multiplier)
            return each.mean(), None

        multiplier, _, _ = descend(multiplier_adam, state.multiplier, mean_multiplier_loss)
        moved = State(
            state.actor._replace(learner=actor).follow(config.soft_update),
            q_r.follow(config.soft_update),
            q_h.follow(config.soft_update),
            multiplier,
            state.updates,
        )
        state = td3bc.when(td3bc.due(config, state.updates), moved, state)
        metrics = {
            "q_loss": q_r_loss,
            "q_h_loss": q_h_loss,
            "policy_loss": loss,
            "q_mean": q_r_mean,
            "q_h_mean": q_h_mean,
            "multiplier_mean": multipliers.mean(),
        }
        return state._replace(updates=state.updates + 1), metrics

    rows = data._replace(violations=violation_from_cost(data.costs, config.M)).only(
        "observations", "actions", "next_observations", "rewards", "violations", "terminals"
    )
    states, curve = fit(init, update, rows, batch_size=config.batch_size)
    return Trained(states.actor.params, actors.sizes(config), curve)


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    return actors.deterministic_agent(directory, config)
