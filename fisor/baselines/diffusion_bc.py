"""Behaviour cloning by FISOR's own network: Eq. 14 with every weight 1, and no candidates."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from fisor.agents import Agent, Step
from fisor.baselines.baseline import Fit, Problem, Trained
from fisor.config.baseline import BaselineActing, BaselineTraining
from fisor.config.policy import PolicyNetwork
from fisor.config.section import setting
from fisor.data.transitions import Transitions
from fisor.policies import diffusion, regression
from fisor.policies.agent import draw
from fisor.policies.stored import load_network

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaselineTraining, PolicyNetwork):
    """The parameters of FISOR's network and of its batches."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(BaselineActing):
    """How the clone acts.

    Attributes:
        sampler: of a diffusion policy: `ddpm`, or `dpm_solver_1`.
    """

    sampler: Literal["ddpm", "dpm_solver_1"] = setting()


def train(config: Config, problem: Problem, data: Transitions, fit: Fit) -> Trained:
    """Train every seed.

    Args:
        config: its parameters.
        problem: not used.
        data: the dataset, n transitions.
        fit: the training loop.
    """
    rows = data.observations.shape[0]
    states, curve = fit(
        regression.init(config, data),
        regression.update(config, data.actions.shape[-1]),
        regression.learned_from(data),
        np.ones((config.seeds, rows), np.float32),
        batch_size=config.policy_batch_size,
    )
    return Trained(states.score_average, regression.checkpoint_config(config, data), curve)


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    network, params = load_network(directory, config)
    schedule = diffusion.schedule(config["T"])

    def act(params: Any, memory: tuple[()], step: Step, key: Array) -> tuple[Array, tuple[()]]:
        observations = step.observation[None]
        return draw(network, schedule, params, observations, key, acting.sampler)[0], memory

    return Agent(params, config["action_dim"], tuple, act)
