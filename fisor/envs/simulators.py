"""Shared by the adapters: a gymnasium interface over a simulator, and imports without output."""

import contextlib
import ctypes
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np

from fisor.errors import InputError


class Transition(NamedTuple):
    """The result of one step of a simulator.

    Attributes:
        observation: `[obs_dim]` of the next state.
        reward: reward of the step.
        cost: cost of the next state, at least 0.
        terminated: whether the next state ends the episode.
        truncated: whether the simulator itself truncates the episode here.
    """

    observation: np.ndarray
    reward: float
    cost: float
    terminated: bool
    truncated: bool = False


class Simulator(Protocol):
    """The interface that a suite's module wraps around its simulator.

    Attributes:
        observation_dim: number of entries of an observation.
        action_low: `[action_dim]` the simulator's lower bounds.
        action_high: `[action_dim]` its upper bounds.
    """

    observation_dim: int
    action_low: np.ndarray
    action_high: np.ndarray

    def start(self, seed: int) -> np.ndarray:
        """Start the episode of this seed, whatever ran before; returns its first observation."""

    def advance(self, action: np.ndarray) -> Transition:
        """One step with `action` `[action_dim]`, float64, within the simulator's bounds."""

    def close(self) -> None:
        """Release what the simulator holds."""


class SimulatedEnv(gymnasium.Env):
    """A simulator as a gymnasium environment: actions in [-1, 1], cost in the step's info.

    An action is clipped to [-1, 1] and scaled to the simulator's bounds, so that no simulator bases
    rewards or costs on an action that it does not apply. Observations are float32, as in DSRL's
    files. The episode is truncated after `horizon_steps` steps.

    Attributes:
        simulator: the wrapped simulator.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (gymnasium's own form)

    def __init__(self, simulator: Simulator, horizon_steps: int) -> None:
        """Wrap `simulator`; call `reset` before `step`."""
        unbounded = np.full(simulator.observation_dim, np.inf, np.float32)
        self.observation_space = gymnasium.spaces.Box(-unbounded, unbounded, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, simulator.action_low.shape, np.float32)
        low = np.asarray(simulator.action_low, np.float64)
        high = np.asarray(simulator.action_high, np.float64)
        self._centre, self._half_range = (low + high) / 2, (high - low) / 2
        self.simulator = simulator
        self._horizon_steps = horizon_steps
        self._steps: int | None = None  # None: no episode is running

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: at least 0 and below 2**32; the same seed and actions give the same episode, bit
                by bit. None draws a seed from the generator that the last given seed initialised.
            options: not used.

        Returns:
            The observation `[obs_dim]`, float32, and an empty dictionary.
        """
        super().reset(seed=seed, options=options)
        drawn = int(seed) if seed is not None else int(self.np_random.integers(2**31))
        self._steps = 0
        return np.asarray(self.simulator.start(drawn), np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step with `action` `[action_dim]`, clipped to [-1, 1].

        Returns:
            Observation `[obs_dim]`, float32; reward; whether the state ended the episode; whether
            the time limit did; and info, whose `cost` is the cost of the state after the step.

        Raises:
            gymnasium.error.ResetNeeded: no episode is running.
            ValueError: the action has another shape, or is not finite.
        """
        if self._steps is None:
            raise gymnasium.error.ResetNeeded("call reset() first: no episode is running")
        given = np.asarray(action, np.float64)
        if given.shape != self.action_space.shape or not np.isfinite(given).all():
            raise ValueError(f"an action is {self.action_space.shape} finite numbers, not {action}")
        result = self.simulator.advance(self._centre + self._half_range * np.clip(given, -1.0, 1.0))
        self._steps += 1
        terminated = bool(result.terminated)
        truncated = not terminated and (result.truncated or self._steps >= self._horizon_steps)
        if terminated or truncated:
            self._steps = None
        observation = np.asarray(result.observation, np.float32)
        info = {"cost": float(result.cost)}
        return observation, float(result.reward), terminated, truncated, info

    def close(self) -> None:
        """Release what the simulator holds."""
        self._steps = None
        self.simulator.close()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Discard output and warnings inside the block, C code's included; restore all settings."""
    libc = ctypes.CDLL(None)
    streams, descriptors = (sys.stdout, sys.stderr), (1, 2)
    for stream in streams:
        stream.flush()
    libc.fflush(None)
    kept = [os.dup(descriptor) for descriptor in descriptors]
    # Without a handler, a call such as logging.info would install one that keeps the null stream.
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    # From a number and not from a path: Bullet-Safety-Gym looks symbols up by a stream's name.
    with os.fdopen(os.open(os.devnull, os.O_WRONLY), "w") as null, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for descriptor in descriptors:
                os.dup2(null.fileno(), descriptor)
            sys.stdout = sys.stderr = null
            yield
        finally:
            sys.stdout, sys.stderr = streams
            libc.fflush(None)
            for descriptor, copy in zip(descriptors, kept, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)
            logging.getLogger().removeHandler(handler)


@contextlib.contextmanager
def importing(package: str) -> Iterator[None]:
    """Import a simulator inside the block, without its banners and warnings.

    Args:
        package: the name of its distribution, for the message.

    Raises:
        InputError: it is not installed, or its import fails.
    """
    try:
        with quiet():
            yield
    except Exception as error:  # not ImportError alone: some fail within, on other releases
        raise InputError(
            f"the simulator {package} cannot be imported ({type(error).__name__}: {error}); "
            "`make venv` installs it"
        ) from error
