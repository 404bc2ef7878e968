"""The feasibility critic: the feasible values Q_h and V_h (Eq. 7-9), or a cost value (w/o HJ).

The ablation without reachability (Table 2, Figure 1) learns Q_c and V_c, the discounted sum of the
costs to come, and calls a state feasible where V_c is at most a threshold.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fisor.config.feasibility import Feasibility
from fisor.critics import pair
from fisor.critics.losses import bellman_target, expectile_loss
from fisor.critics.pair import CriticRule, CriticState
from fisor.data.transitions import Transitions

COST_VALUE = "cost_value"

init = pair.init


def feasible_value_loss(q_h: jax.Array, v_h: jax.Array, tau: float) -> jax.Array:
    """L_rev^tau(Q_h - V_h) (Eq. 8): pulls V_h to the lower tau-expectile of Q_h."""
    return expectile_loss(v_h - q_h, tau)


def feasible_target(
    violation: jax.Array, next_value: jax.Array, terminal: jax.Array, gamma: float
) -> jax.Array:
    """(1 - gamma) h(s) + gamma max(h(s), V_h(s')) (Eq. 7 and 9); h(s) itself at the end.

    Args:
        violation: `[...]` h of the transition.
        next_value: `[...]` V_h of the next state.
        terminal: `[...]` bool, whether nothing follows (the released code's rule: the target is h).
        gamma: discount, in (0, 1).

    Returns:
        `[...]` the regression target of Q_h.
    """
    target = (1 - gamma) * violation + gamma * jnp.maximum(violation, next_value)
    return jnp.where(terminal, violation, target)


def cost_target(
    cost: jax.Array, next_value: jax.Array, terminal: jax.Array, gamma: float
) -> jax.Array:
    """The costs to come, c + gamma max(V_c(s'), 0); c itself at the end. Shapes as above.

    Costs are never negative; without the maximum, V_c would drift below 0.
    """
    return bellman_target(cost, jnp.maximum(next_value, 0.0), terminal, gamma)


def rule(config: Feasibility) -> CriticRule:
    """The twins' maximum and the reversed expectile (Eq. 8), for either value.

    They differ in the target: the feasible Bellman operator's (Eq. 9) of h, or the costs to come.
    """

    def target(batch: Transitions, next_v: jax.Array) -> jax.Array:
        if config.feasibility == COST_VALUE:
            return cost_target(batch.costs, next_v, batch.terminals, config.gamma)
        return feasible_target(batch.violations, next_v, batch.terminals, config.gamma)

    return CriticRule(
        twin=lambda q: q.max(axis=0),
        value_loss=lambda q, v: feasible_value_loss(q, v, config.tau),
        target=target,
    )


def learned_from(config: Feasibility, data: Transitions) -> Transitions:
    """Only the fields that `update` reads; others would use the device's memory in vain."""
    signal = "costs" if config.feasibility == COST_VALUE else "violations"
    return data.only("observations", "actions", "next_observations", signal, "terminals")


def update(config: Feasibility) -> pair.Update:
    """A function (state, batch, key) -> (state, metrics), for `fit`."""
    return pair.update(config, rule(config))


def finished(config: Feasibility, states: CriticState) -> CriticState:
    """The trained critic as it is used: V of at most 0 means feasible, whichever value was learned.

    For a cost value, the threshold is subtracted in the biases of the last layers: V_c - threshold.
    So the policy's weights, the choice among candidates and the report use the same rule, V <= 0;
    advantages and the safest candidate do not change.

    Args:
        config: feasibility and cost_value_threshold.
        states: the trained states, stacked along `[seeds]`.
    """
    return pair.finished(config, states, above_zero=_threshold(config))


def _threshold(config: Feasibility) -> float:
    return config.cost_value_threshold if config.feasibility == COST_VALUE else 0.0


def checkpoint_config(config: Feasibility, data: Transitions) -> dict[str, Any]:
    """What rebuilds the critic, and which value it is, for `pair.save`."""
    kind = {"feasibility": config.feasibility, "threshold": _threshold(config)}
    return pair.checkpoint_config(config, data) | kind
