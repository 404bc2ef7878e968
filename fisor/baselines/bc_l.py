"""BC-L (Appendix D.6): behaviour cloning within a cost limit, by a PID Lagrange multiplier."""

import dataclasses
from pathlib import Path
from typing import Any

import jax

from fisor.agents import Agent
from fisor.baselines import actors, penalised_bc
from fisor.baselines.baseline import Fit, Problem, Trained
from fisor.baselines.limits import Gains, Multiplier, discounted_limit, pid
from fisor.config.baseline import ActorCriticTraining, BaselineActing
from fisor.config.section import setting
from fisor.data.transitions import Transitions

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ActorCriticTraining):
    """BC-L's parameters of training.

    Attributes:
        cost_limit: cost per episode; None takes the task's.
        proportional_gain: of the PID controller.
        integral_gain: of the same.
        derivative_gain: of the same.
    """

    cost_limit: float | None = setting(ge=0)
    proportional_gain: float = setting(ge=0)
    integral_gain: float = setting(ge=0)
    derivative_gain: float = setting(ge=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(BaselineActing):
    """BC-L acts in one way."""


def train(config: Config, problem: Problem, data: Transitions, fit: Fit) -> Trained:
    """Train every seed, by (pi(s) - a)^2 + lambda (Q_c(s, pi(s)) - l).

    Args:
        config: its parameters.
        problem: the limit and the horizon.
        data: the dataset, n transitions.
        fit: the training loop.
    """
    cost_limit = problem.limit(config.cost_limit)
    limit = discounted_limit(cost_limit, config.gamma, problem.horizon_steps)
    gains = Gains(config.proportional_gain, config.integral_gain, config.derivative_gain)

    def penalty(memory: Multiplier, q_c: Array) -> tuple[Multiplier, Array]:
        return pid(memory, q_c.mean() - limit, gains)

    return penalised_bc.train(config, data, fit, penalty, Multiplier.begin, limit)


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    return actors.deterministic_agent(directory, config)
