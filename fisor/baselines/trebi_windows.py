"""TREBI's data: windows of an episode as plans, their normalisation, and what follows them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fisor.data.transitions import Transitions

Array = jax.Array

ROWS_AT_ONCE = 65536  # of a dataset that may be memory-mapped


class Normaliser(NamedTuple):
    """Of a plan's entries, an action's first: to mean 0 and deviation 1 over the dataset.

    Attributes:
        mean: `[action_dim + obs_dim]`.
        deviation: `[action_dim + obs_dim]`, 1 for an entry that is constant.
    """

    mean: Any
    deviation: Any

    @classmethod
    def of(cls, data: Transitions) -> "Normaliser":
        """Of all rows of a dataset."""
        parts = [_mean_and_deviation(rows) for rows in (data.actions, data.observations)]
        return cls(*(np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True)))

    def normalise(self, plan: Array) -> Array:
        """`[steps, action_dim + obs_dim]` -> the same shape."""
        return (plan - self.mean[None]) / self.deviation[None]

    def observation(self, observation: Array) -> Array:
        """The same for an observation alone, `[obs_dim]`."""
        size = observation.shape[0]
        return (observation - self.mean[-size:]) / self.deviation[-size:]

    def action(self, normalised: Array) -> Array:
        """Back from a plan's first entries `[action_dim]` to an action."""
        size = normalised.shape[0]
        return normalised * self.deviation[:size] + self.mean[:size]


def _mean_and_deviation(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each column, in float64 and piece by piece."""
    pieces = [slice(i, i + ROWS_AT_ONCE) for i in range(0, len(rows), ROWS_AT_ONCE)]
    mean = sum(rows[piece].sum(0, dtype=np.float64) for piece in pieces) / len(rows)
    square = sum(((rows[piece] - mean) ** 2).sum(0) for piece in pieces) / len(rows)
    deviation = np.sqrt(square)
    # The mean of a constant is off by rounding, and so the deviation above 0.
    return mean, np.where(deviation > 1e-6 * np.maximum(1.0, np.abs(mean)), deviation, 1.0)


class Rows(NamedTuple):
    """What training reads of a dataset of n transitions; also windows of them.

    Attributes:
        observations: `[n, obs_dim]`.
        actions: `[n, action_dim]`.
        step: `[n]` int32 of its episode.
        values: `[n, 2]` discounted rewards and costs from this row to the episode's end.
    """

    observations: Any
    actions: Any
    step: Any
    values: Any

    @classmethod
    def of(cls, data: Transitions, step: np.ndarray, gamma: float) -> "Rows":
        """Those of a dataset.

        Args:
            data: the dataset.
            step: `[n]` each row's step of its episode.
            gamma: discount.
        """
        to_come = [discounted_to_come(values, step, gamma) for values in (data.rewards, data.costs)]
        values = np.stack(to_come, axis=1).astype(np.float32)
        return cls(data.observations, data.actions, step.astype(np.int32), values)


def discounted_to_come(values: np.ndarray, step: np.ndarray, gamma: float) -> np.ndarray:
    """sum_k gamma^k v_(t+k) to the end of each row's episode, `[n]` in float64.

    Args:
        values: `[n]` of each row.
        step: `[n]` its step of its episode, from 0.
        gamma: discount.
    """
    to_come = values.astype(np.float64)
    starts = np.flatnonzero(step == 0)
    lengths = np.diff(starts, append=step.size)
    for before_last in range(lengths.max() - 2, -1, -1):
        rows = starts[lengths > before_last + 1] + before_last
        to_come[rows] += gamma * to_come[rows + 1]
    return to_come


def may_begin(step: np.ndarray, horizon_steps: int, plan_steps: int) -> np.ndarray:
    """Whether a window begins at a row, `[n]`: not where it would reach past the time limit.

    So an episode that ran to its time limit has no windows with padding, as in the released code.

    Args:
        step: `[n]` of each row's episode.
        horizon_steps: time limit of an episode.
        plan_steps: rows of a window.
    """
    return step <= max(horizon_steps - plan_steps, 0)


def plan_of(window: Rows, normaliser: Normaliser) -> Array:
    """A window's rows as a plan, `[plan_steps, action_dim + obs_dim]`, normalised.

    What lies beyond the episode counts as observations and actions of zeros, which are normalised
    as all others are; so does the released code.

    Args:
        window: one window, `[plan_steps, ...]`; its rows may be those of the next episode.
        normaliser: of plans.
    """
    within = window.step == window.step[0] + jnp.arange(window.step.shape[0])
    rows = jnp.concatenate([window.actions, window.observations], axis=-1)
    return normaliser.normalise(jnp.where(within[:, None], rows, 0.0))
