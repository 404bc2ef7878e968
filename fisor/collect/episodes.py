"""Whole episodes: jobs for the simulators' processes, which do not load JAX.

The results depend on the jobs alone, not on the number of processes or their speed.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, Protocol

import gymnasium
import numpy as np

Act = Callable[[np.ndarray], np.ndarray]  # [obs_dim] -> [action_dim], unbounded


class Actor(Protocol):
    """Acts in an episode; it is sent to a process."""

    def start(self, environment: gymnasium.Env, generator: np.random.Generator) -> Act:
        """Begin an episode of `environment`, just reset, with noise from `generator`."""


@dataclasses.dataclass(frozen=True)
class Job:
    """Episodes for one process to run, one after another.

    Attributes:
        actor: what acts.
        entropy: whole numbers, at least 0, from which all randomness is derived.
        least_steps: no further episode starts once so many steps are done.
    """

    actor: Actor
    entropy: tuple[int, ...]
    least_steps: int

    def __call__(self, environment: gymnasium.Env) -> "Trajectory":
        """Run the episodes in `environment`; what ran in it before has no influence."""
        noise, starts = map(np.random.default_rng, np.random.SeedSequence(self.entropy).spawn(2))
        rows: list[tuple] = []
        while len(rows) < self.least_steps:
            observation, _ = environment.reset(seed=int(starts.integers(2**32)))
            act = self.actor.start(environment, noise)
            over = False
            while not over:
                action = act(observation)
                after, reward, terminal, timeout, info = environment.step(action)
                rows.append((observation, action, after, reward, info["cost"], terminal, timeout))
                observation, over = after, terminal or timeout
        columns = zip(*rows, strict=True)
        kinds = (np.float32,) * 5 + (np.bool_,) * 2
        return Trajectory._make(np.asarray(c, k) for c, k in zip(columns, kinds, strict=True))


class Trajectory(NamedTuple):
    """Whole episodes one after another, n steps in all.

    Attributes:
        observations: `[n, obs_dim]` float32, before each step.
        actions: `[n, action_dim]` float32, as chosen by the actor: not clipped.
        next_observations: `[n, obs_dim]` float32.
        rewards: `[n]` float32.
        costs: `[n]` float32, of the state after the step.
        terminals: `[n]` bool.
        timeouts: `[n]` bool.
    """

    observations: np.ndarray
    actions: np.ndarray
    next_observations: np.ndarray
    rewards: np.ndarray
    costs: np.ndarray
    terminals: np.ndarray
    timeouts: np.ndarray


def sizes(environment: gymnasium.Env) -> tuple[int, int]:
    """A job: the entries of an observation and of an action."""
    observation, action = environment.observation_space.shape, environment.action_space.shape
    assert observation is not None
    assert action is not None
    return observation[0], action[0]
