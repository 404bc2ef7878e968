"""BC-P (Appendix D.6): behaviour cloning with a fixed penalty on the policy's cost value."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from fisor.agents import Agent
from fisor.baselines import actors, penalised_bc
from fisor.baselines.baseline import Fit, Problem, Trained
from fisor.config.baseline import ActorCriticTraining, BaselineActing
from fisor.config.section import setting
from fisor.data.transitions import Transitions

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ActorCriticTraining):
    """BC-P's parameters of training.

    Attributes:
        penalty: k, of the discounted costs to come.
    """

    penalty: float = setting(ge=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(BaselineActing):
    """BC-P acts in one way."""


def train(config: Config, problem: Problem, data: Transitions, fit: Fit) -> Trained:
    """Train every seed, by (pi(s) - a)^2 + k Q_c(s, pi(s)).

    Args:
        config: its parameters.
        problem: not used.
        data: the dataset, n transitions.
        fit: the training loop.
    """

    def penalty(memory: tuple[()], q_c: Array) -> tuple[tuple[()], Array]:
        return memory, jnp.float32(config.penalty)

    return penalised_bc.train(config, data, fit, penalty, tuple, limit=0.0)


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    return actors.deterministic_agent(directory, config)
