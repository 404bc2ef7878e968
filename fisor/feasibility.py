"""What tells feasible states: the feasible values Q_h and V_h (Eq. 7-9), or a cost value (w/o HJ).

The ablation without reachability (Table 2, Figure 1) learns Q_c and V_c, the discounted sum of the
costs to come, and calls a state feasible where V_c is at most a threshold.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fisor import critics, losses
from fisor.critics import CriticRule, CriticState
from fisor.params import Params
from fisor.transitions import Transitions

COST_VALUE = "cost_value"

init = critics.init


def rule(params: Params) -> CriticRule:
    """The twins' maximum and the reversed expectile (Eq. 8), for either value.

    They differ in the target: the feasible Bellman operator's (Eq. 9), or Eq. 16 of a cost, with
    max(V_c, 0) for the costs to come. For a cost value the batch's `violations` are the costs.
    """

    def target(batch: Transitions, next_v: jax.Array) -> jax.Array:
        if params.feasibility == COST_VALUE:
            # They are never below 0, where the expectile, fed with itself, would drift.
            costs_to_come = jnp.maximum(next_v, 0.0)
            return losses.reward_target(
                batch.violations, costs_to_come, batch.terminals, params.gamma
            )
        return losses.feasible_target(batch.violations, next_v, batch.terminals, params.gamma)

    return CriticRule(
        twin=lambda q: q.max(axis=0),
        value_loss=lambda q, v: losses.feasible_value_loss(q, v, params.tau),
        target=target,
    )


def update(params: Params) -> critics.Update:
    """A function (state, batch, key) -> (state, metrics), for `fit`."""
    return critics.update(params, rule(params))


def at_most_zero_is_feasible(params: Params, states: CriticState) -> CriticState:
    """The trained critic such that V of at most 0 means feasible, whichever value was learned.

    Of a cost value the threshold is taken off, in the last layers' biases: V_c - threshold. So the
    policy's weights, the choice among candidates and the report know one rule, V <= 0; advantages
    and the safest candidate stay what they were.

    Args:
        params: feasibility and cost_value_threshold.
        states: as trained, stacked along `[seeds]`.
    """
    if params.feasibility != COST_VALUE:
        return states
    last = f"Dense_{params.hidden_layers}"

    def lowered(path: Any, leaf: Any) -> Any:
        names = [entry.key for entry in path]
        return leaf - params.cost_value_threshold if names[-2:] == [last, "bias"] else leaf

    q_target, v = (
        jax.tree_util.tree_map_with_path(lowered, tree) for tree in (states.q_target, states.v)
    )
    return states._replace(q_target=q_target, v=v)


def config_of(params: Params, data: Transitions) -> dict[str, Any]:
    """What rebuilds the critic, and which value it is, for `critics.save`."""
    threshold = params.cost_value_threshold if params.feasibility == COST_VALUE else 0.0
    kind = {"feasibility": params.feasibility, "threshold": threshold}
    return critics.config_of(params, data) | kind
