"""What BC-P and BC-L (Appendix D.6) share: cloning with a penalty on the policy's cost value."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from fisor.baselines import actors, bc
from fisor.baselines.actors import Actor
from fisor.baselines.baseline import Fit, Trained
from fisor.baselines.tracked import Tracked, fresh_twins, regress, twins
from fisor.config.baseline import ActorCriticTraining
from fisor.critics.feasibility import cost_target
from fisor.data.transitions import Transitions
from fisor.nn.networks import forward
from fisor.nn.optimiser import descend, optimiser

Array = jax.Array

# (what it remembers, cost values at the policy's actions `[B]`) -> (the same, penalty `[]`)
Penalty = Callable[[Any, Array], tuple[Any, Array]]


def loss(action: Array, data_action: Array, q_c: Array, penalty: Array, limit: float) -> Array:
    """(pi(s) - a)^2 + k (Q_c(s, pi(s)) - l) (Appendix D.6).

    Args:
        action: `[action_dim]` pi(s).
        data_action: `[action_dim]` a; the square is the mean over its entries.
        q_c: `[]` the policy's discounted costs to come.
        penalty: `[]` k, a constant or a multiplier.
        limit: l of them; it moves no gradient.
    """
    return bc.loss(action, data_action) + penalty * (q_c - limit)


class State(NamedTuple):
    """What training carries.

    Attributes:
        actor: the policy.
        critic: the twins of the cost.
        memory: what the penalty remembers.
    """

    actor: Tracked
    critic: Tracked
    memory: Any


def train(
    config: ActorCriticTraining,
    data: Transitions,
    fit: Fit,
    penalty: Penalty,
    memory: Callable[[], Any],
    limit: float,
) -> Trained:
    """Train every seed.

    Q_c is the policy's, by its target network's actions; of the twins the larger counts, so that
    the policy gains nothing where one is too low.

    Args:
        config: their parameters.
        data: the dataset, n transitions.
        fit: the training loop.
        penalty: the rule for k.
        memory: () -> what the rule remembers before its first step.
        limit: l, of discounted costs.
    """
    observation_dim, action_dim = data.observations.shape[-1], data.actions.shape[-1]
    policy, q = Actor.of(config, action_dim), twins(config)
    adam, actor_adam = optimiser(config), optimiser(config, config.actor_learning_rate)

    def init(key: Array) -> State:
        actor_key, critic_key = jax.random.split(key)
        actor = actors.fresh(policy.network, actor_key, observation_dim)
        critic = fresh_twins(q, critic_key, observation_dim, action_dim)
        return State(Tracked.begin(actor_adam, actor), Tracked.begin(adam, critic), memory())

    def update(state: State, batch: Any, key: Array) -> tuple[State, dict[str, Array]]:
        del key
        rows, _ = batch
        actor, critic, kept = state
        here, there = rows.observations, rows.next_observations

        next_q = forward(q, critic.target, there, policy(actor.target, there)).max(axis=0)
        target = cost_target(rows.costs, next_q, rows.terminals, config.gamma)
        critic, q_c_loss, q_c_mean = regress(adam, q, critic, here, rows.actions, target)

        def mean_loss(params: Any) -> tuple[Array, tuple[Any, Array]]:
            actions = policy(params, here)
            q_c = forward(q, critic.params, here, actions).max(axis=0)
            remembered, k = penalty(kept, jax.lax.stop_gradient(q_c))
            each = jax.vmap(loss, in_axes=(0, 0, 0, None, None))
            return each(actions, rows.actions, q_c, k, limit).mean(), (remembered, k)

        learner, policy_loss, (kept, k) = descend(actor_adam, actor.learner, mean_loss)
        actor = actor._replace(learner=learner).follow(config.soft_update)
        metrics = {
            "q_c_loss": q_c_loss,
            "policy_loss": policy_loss,
            "q_c_mean": q_c_mean,
            "penalty": k,
        }
        return State(actor, critic.follow(config.soft_update), kept), metrics

    rows = data.only("observations", "actions", "next_observations", "costs", "terminals")
    states, curve = fit(init, update, rows, batch_size=config.batch_size)
    return Trained(states.actor.params, actors.sizes(config), curve)
