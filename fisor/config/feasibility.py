"""Parameters of stage train_feasibility."""

import dataclasses
from typing import ClassVar, Literal

from fisor.config.critics import Critic
from fisor.config.section import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feasibility(Critic):
    """The feasibility critic.

    Attributes:
        feasibility: `reachability` learns Q_h and V_h (Eq. 7-9); `cost_value` learns discounted
            costs in their place (w/o HJ, Table 2).
        cost_value_threshold: with `cost_value`, a state is feasible where V_c is at most this.
    """

    OVERRIDES: ClassVar = "feasibility"

    feasibility: Literal["reachability", "cost_value"] = setting()
    cost_value_threshold: float = setting(ge=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeasibilityStage(Feasibility):
    """All that the stage reads; `name` is the name of the task."""

    name: str
