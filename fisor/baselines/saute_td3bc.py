"""Saute-TD3BC (Appendix D.7): TD3+BC on states that hold what is left of the cost limit.

After Saute RL (Sootla et al. 2022): an episode has a budget z, which its costs use up. The policy
sees it, and where it is used up the reward is a penalty. So a policy of high return keeps the limit
in every episode, not in the mean over them.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fisor.agents import Agent, Step
from fisor.baselines import actors, td3bc
from fisor.baselines.actors import Actor
from fisor.baselines.baseline import Fit, Problem, Trained
from fisor.baselines.limits import discounted_limit
from fisor.baselines.td3bc import TD3BCTraining
from fisor.baselines.tracked import Tracked, fresh_twins, regress, twins
from fisor.config.baseline import BaselineActing
from fisor.config.section import setting
from fisor.critics.losses import bellman_target
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.nn import checkpoint
from fisor.nn.networks import forward
from fisor.nn.optimiser import descend, optimiser

Array = jax.Array

LEAST = -1.0  # of z


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TD3BCTraining):
    """Saute-TD3BC's parameters of training.

    Attributes:
        cost_limit: cost per episode; None takes the task's.
        safety_discount: discount of the costs in the budget.
        unsafe_reward: the reward where the budget is used up, in the dataset's units.
    """

    cost_limit: float | None = setting(ge=0)
    safety_discount: float = setting(gt=0, le=1)
    unsafe_reward: float = setting()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(BaselineActing):
    """Saute-TD3BC acts in one way."""


class Budget(NamedTuple):
    """How costs use up an episode's limit.

    Attributes:
        limit: l, of the costs discounted from the episode's start; at least 0.
        discount: gamma_c, in (0, 1].
    """

    limit: float
    discount: float

    @classmethod
    def of(cls, cost_limit: float, discount: float, horizon_steps: int) -> "Budget":
        """For a limit in cost per episode, turned into one of discounted costs as Saute RL does."""
        if discount == 1:
            return cls(cost_limit, discount)
        return cls(discounted_limit(cost_limit, discount, horizon_steps), discount)

    def left(self, spent: Array, step: Array) -> Array:
        """The budget z before a step: 1 at an episode's first, at most 0 where it is used up.

        With z_0 = 1 and z' = (z - c / l) / gamma_c (Sootla et al. 2022), after t steps it is
        (1 - sum_k gamma_c^k c_k / l) / gamma_c^t. It is cut at -1: z at most 0 stays so, and no
        reward depends on by how much. Where l is 0, any cost uses it up.

        Args:
            spent: `[...]` sum_k gamma_c^k c_k over the steps before.
            step: `[...]` t.
        """
        share = jnp.where(spent > 0, spent / self.limit, 0.0)
        return jnp.maximum((1.0 - share) / self.weight(step), LEAST)

    def weight(self, step: Array) -> Array:
        """The discount of a step's cost, gamma_c^t of `[...]` t."""
        return jnp.power(jnp.float32(self.discount), step.astype(jnp.float32))


def reshaped(reward: Array, next_left: Array, unsafe_reward: float) -> Array:
    """The reward where z' is above 0, else the penalty (Sootla et al. 2022); `[...]` each."""
    return jnp.where(next_left > 0, reward, unsafe_reward)


def budgets(budget: Budget, problem: Problem, costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The budget z before and after each row of a dataset.

    Args:
        budget: the limit.
        problem: each row's episode and step; episodes lie one after another, from step 0 on.
        costs: `[n]`.

    Returns:
        Twice `[n]` float32.
    """
    discounted = costs.astype(np.float64) * np.float64(budget.discount) ** problem.step
    total = discounted.cumsum()
    before = total - discounted
    of_start = before[problem.step == 0][problem.episode]  # all that earlier episodes spent

    def left(spent: np.ndarray, step: np.ndarray) -> np.ndarray:
        spent = (spent - of_start).astype(np.float32)
        return np.asarray(budget.left(jnp.asarray(spent), jnp.asarray(step)))

    return left(before, problem.step), left(total, problem.step + 1)


def augmented(observation: Array, left: Array) -> Array:
    """What the networks see: `[..., obs_dim]` and z `[...]` -> `[..., obs_dim + 1]`."""
    return jnp.concatenate([observation, left[..., None]], axis=-1)


class State(NamedTuple):
    """What training carries.

    Attributes:
        actor: the policy.
        critic: the twins of the reshaped reward.
        updates: `[]` int32, done.
    """

    actor: Tracked
    critic: Tracked
    updates: Array


def train(config: Config, problem: Problem, data: Transitions, fit: Fit) -> Trained:
    """Train every seed.

    Args:
        config: its parameters.
        problem: the limit, the horizon, and each row's episode and step.
        data: the dataset, n transitions.
        fit: the training loop.
    """
    cost_limit = problem.limit(config.cost_limit)
    budget = Budget.of(cost_limit, config.safety_discount, problem.horizon_steps)
    observation_dim, action_dim = data.observations.shape[-1] + 1, data.actions.shape[-1]
    policy, q = Actor.of(config, action_dim), twins(config)
    adam, actor_adam = (
        optimiser(config),
        td3bc.delayed_optimiser(config, config.actor_learning_rate),
    )

    def init(key: Array) -> State:
        actor_key, critic_key = jax.random.split(key)
        actor = actors.fresh(policy.network, actor_key, observation_dim)
        critic = fresh_twins(q, critic_key, observation_dim, action_dim)
        return State(
            Tracked.begin(actor_adam, actor), Tracked.begin(adam, critic), jnp.zeros((), jnp.int32)
        )

    def update(state: State, batch: Any, key: Array) -> tuple[State, dict[str, Array]]:
        (rows, left, next_left), _ = batch
        actor, critic, updates = state
        here, there = (
            augmented(rows.observations, left),
            augmented(rows.next_observations, next_left),
        )

        next_actions = td3bc.target_actions(config, policy(actor.target, there), key)
        next_q = forward(q, critic.target, there, next_actions).min(axis=0)
        rewards = config.reward_scale * reshaped(rows.rewards, next_left, config.unsafe_reward)
        target = bellman_target(rewards, next_q, rows.terminals, config.gamma)
        critic, q_loss, q_mean = regress(adam, q, critic, here, rows.actions, target)

        def policy_loss(params: Any) -> tuple[Array, None]:
            actions = policy(params, here)
            values = forward(q, critic.params, here, actions)[0]
            weight = td3bc.reward_weight(values, config.alpha)
            losses = jax.vmap(td3bc.policy_loss, in_axes=(0, 0, 0, None))
            return losses(actions, rows.actions, values, weight).mean(), None

        learner, loss, _ = descend(actor_adam, actor.learner, policy_loss)
        moved = (
            actor._replace(learner=learner).follow(config.soft_update),
            critic.follow(config.soft_update),
        )
        actor, critic = td3bc.when(td3bc.due(config, updates), moved, (actor, critic))
        metrics = {"q_loss": q_loss, "policy_loss": loss, "q_mean": q_mean}
        return State(actor, critic, updates + 1), metrics

    rows = data.only("observations", "actions", "next_observations", "rewards", "terminals")
    states, curve = fit(
        init,
        update,
        (rows, *budgets(budget, problem, data.costs)),
        batch_size=config.batch_size,
    )
    return Trained(states.actor.params, actors.sizes(config) | budget._asdict(), curve)


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder; it remembers the discounted costs of its episode.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    budget = Budget(*(_number(config, name, directory) for name in Budget._fields))
    observation_dim = checkpoint.size(config, "observation_dim", directory) + 1
    inner = actors.deterministic_agent(directory, {**config, "observation_dim": observation_dim})

    def act(params: Any, spent: Array, step: Step, key: Array) -> tuple[Array, Array]:
        last_cost = budget.weight(step.time - 1) * step.cost
        spent = jnp.where(step.time > 0, spent + last_cost, 0.0)
        seen = augmented(step.observation, budget.left(spent, step.time))
        action, _ = inner.act(params, (), step._replace(observation=seen), key)
        return action, spent

    return inner._replace(initial_memory=lambda: jnp.zeros(()), act=act)


def _number(config: Mapping[str, Any], name: str, directory: Path) -> float:
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        place = directory / checkpoint.CONFIG
        raise InputError(f"{place}: `{name}` must be a number >= 0, not {value!r}")
    return float(value)
