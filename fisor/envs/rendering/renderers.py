"""The table of suites whose environments can be rendered.

Renderers are not in the suites' modules because every dataset and every result depends on those: a
new camera position would collect the data again.
"""

import importlib
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from fisor.config.task import Environment
from fisor.envs.simulators import SimulatedEnv

# Modules that define `make`, as `Suite.make`, of an environment whose `render()` returns a picture
# `[height, width, 3]`, uint8. Both raise `InputError` with what to install if something is missing.
RENDERERS = {
    "safety_gymnasium": "fisor.envs.rendering.safety_gymnasium",
    "bullet_safety_gym": "fisor.envs.rendering.bullet_safety_gym",
    "metadrive": "fisor.envs.rendering.metadrive",
    "gymnasium": "fisor.envs.rendering.gymnasium",
}
PICTURE_WIDTH, PICTURE_HEIGHT = 240, 180


class RenderedEnv(gymnasium.Wrapper):
    """An environment with a function that makes its pictures."""

    def __init__(self, environment: gymnasium.Env, picture: Callable[[], np.ndarray]) -> None:
        """Wrap an environment; `picture` returns `[height, width, 3]`, uint8."""
        super().__init__(environment)
        self._picture = picture

    def render(self) -> Any:
        """A picture of the current state."""
        return self._picture()


def simulator_of(environment: gymnasium.Env) -> Any:
    """The simulator that a suite's module has wrapped, whose objects a renderer looks into."""
    assert isinstance(environment, SimulatedEnv)
    return environment.simulator


def make_rendered(task: Environment) -> gymnasium.Env:
    """Make a task's environment so that it can be rendered.

    Raises:
        InputError: the simulator or its renderer cannot be imported.
    """
    module = importlib.import_module(RENDERERS[task.suite])
    return module.make(task.environment, task.horizon_steps)


def picture_of(environment: gymnasium.Env) -> np.ndarray:
    """A picture of the current state of one that `make_rendered` made, `[height, width, 3]`."""
    return np.asarray(environment.render(), np.uint8)
