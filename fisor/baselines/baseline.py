"""What a baseline is given, and what it gives."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

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
    """

    horizon_steps: int
    cost_limit: float
    episode: np.ndarray
    step: np.ndarray


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
