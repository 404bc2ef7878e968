"""What a baseline is given, and what it gives."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fisor.config.task import Prompts
from fisor.config.training import Common
from fisor.data.transitions import Transitions
from fisor.nn import checkpoint
from fisor.training.log import Curve

# `fisor.training.fit.fit` with configuration, name and checkpoints filled in; what is left is
# (init, update, data, seed_data, row_weights, batch_size=..., window_steps=...).
Fit = Callable[..., tuple[Any, Curve]]


class Problem(NamedTuple):
    """What a baseline may know beside the transitions.

    Attributes:
        horizon_steps: time limit of an episode.
        cost_limit: cost per episode, at least 0.
        episode: `[n]` number of each transition's episode, from 0.
        step: `[n]` its step within the episode, from 0.
        prompts: published for the task, for methods that are asked for a return; None if none are.
    """

    horizon_steps: int
    cost_limit: float
    episode: np.ndarray
    step: np.ndarray
    prompts: Prompts | None = None

    def limit(self, own: float | None) -> float:
        """Cost per episode that a method trains for: its own `cost_limit`, or else the task's."""
        return self.cost_limit if own is None else own


class Trained(NamedTuple):
    """A trained baseline.

    Attributes:
        params: pytree of arrays that its agent acts with, stacked along a leading `[seeds]` axis.
        config: what its agent rebuilds the networks from, JSON values; numbers of seeds and entries
            are added.
        curve: of its training.
    """

    params: Any
    config: Mapping[str, Any]
    curve: Curve


def save(directory: Path, method: str, config: Common, data: Transitions, trained: Trained) -> None:
    """Write what `fisor.agents.load_agent` reads, into an existing folder.

    Args:
        directory: the folder.
        method: a name in `fisor.methods`.
        config: with the number of seeds.
        data: the dataset, for the entries of an observation and of an action.
        trained: what was learned.
    """
    sizes = {
        "agent": method,
        "seeds": config.seeds,
        "observation_dim": data.observations.shape[-1],
        "action_dim": data.actions.shape[-1],
    }
    checkpoint.save(directory, trained.params, {**trained.config, **sizes})
