"""The feasible values Q_h and V_h (Eq. 7-9): the largest feasible region, from data."""

from fisor import critics, losses
from fisor.critics import CriticRule
from fisor.params import Params

init = critics.init


def rule(params: Params) -> CriticRule:
    """The twins' maximum, the reversed expectile (Eq. 8), the feasible Bellman target (Eq. 9)."""
    return CriticRule(
        twin=lambda q: q.max(axis=0),
        value_loss=lambda q, v: losses.feasible_value_loss(q, v, params.tau),
        target=lambda batch, next_v: losses.feasible_target(
            batch.violations, next_v, batch.terminals, params.gamma
        ),
    )


def update(params: Params) -> critics.Update:
    """A function (state, batch, key) -> (state, metrics), for `fit`."""
    return critics.update(params, rule(params))
