"""Environments whose episodes are known in advance; simulator processes import them by name.

The reset seed r is an episode's length. Step t (from 1) has observation [r, t, the sum of the first
entries of the actions so far], reward r + t / 8 and cost 1 if t is a multiple of 3.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from fisor.config.task import Environment


class Counting(gymnasium.Env):
    def __init__(self) -> None:
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        assert seed is not None
        self.length, self.steps, self.pushed = seed, 0, 0.0
        return self._observation(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        self.pushed += float(action[0])
        reward = self.length + self.steps / 8
        cost = float(self.steps % 3 == 0)
        over = self.steps == self.length
        return self._observation(), reward, over, False, {"cost": cost}

    def _observation(self) -> np.ndarray:
        return np.array([self.length, self.steps, self.pushed], np.float32)


class Failing(Counting):
    """Does something in step 2 of the episode of length 5, the first time only or each time.

    `task.environment` says what, and names the file by which processes know of the first time.
    """

    def __init__(self, environment: str) -> None:
        super().__init__()
        self.what, self.marker = environment.split(":")

    def step(self, action: Any) -> Any:
        if (self.length, self.steps) == (5, 2) and not (self.marker and Path(self.marker).exists()):
            if self.marker:
                Path(self.marker).touch()
            if self.what == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.what == "hang":
                time.sleep(1000)
            if self.what == "nan":
                return np.full(3, np.nan, np.float32), 0.0, False, False, {"cost": 0.0}
            raise ArithmeticError("the world fell apart")
        return super().step(action)


def make_counting(task: Environment) -> gymnasium.Env:
    return Counting()


def make_failing(task: Environment) -> gymnasium.Env:
    return Failing(task.environment)


def die_once(number: int, marker: str, environment: gymnasium.Env) -> int:
    """A job: the square of its number; number 3 dies unless the marker is there."""
    assert isinstance(environment, Counting)
    if number == 3 and not (marker and Path(marker).exists()):
        if marker:
            Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2
