"""Transitions of a dataset, as training sees them."""

from typing import Any, NamedTuple

import numpy as np


class Transitions(NamedTuple):
    """The fields of n transitions that training reads; of a batch, with leading axis `[B]`.

    NumPy arrays when read, JAX arrays inside a training step. A field that is not used may be None.

    Attributes:
        observations: `[n, obs_dim]` s.
        actions: `[n, action_dim]` a, in [-1, 1].
        next_observations: `[n, obs_dim]` s'.
        rewards: `[n]` r; some callers scale them.
        costs: `[n]` c of the state after the step, at least 0.
        violations: `[n]` h, above 0 where the constraint is violated.
        terminals: `[n]` bool, whether nothing follows.
    """

    observations: Any
    actions: Any
    next_observations: Any
    rewards: Any
    costs: Any
    violations: Any
    terminals: Any

    def only(self, *names: str) -> "Transitions":
        """These fields alone; others would use the device's memory in vain."""
        return Transitions(*(getattr(self, n) if n in names else None for n in self._fields))


def episode_sums(episode: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum of `values` `[rows]` over each episode, `[episodes]`, in float64."""
    return np.bincount(episode, weights=values.astype(np.float64))
