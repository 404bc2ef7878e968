"""Registered environments rendered by themselves, with `render_mode="rgb_array"`."""

import gymnasium
import numpy as np

from fisor.envs import gymnasium as registered_environments
from fisor.envs.gymnasium import RegisteredSimulator
from fisor.envs.rendering.renderers import RenderedEnv, simulator_of
from fisor.envs.simulators import SimulatedEnv, quiet
from fisor.errors import InputError

MODE = "rgb_array"


def make(environment: str, horizon_steps: int) -> gymnasium.Env:
    """Make a registered environment in its mode for pictures.

    Raises:
        InputError: the environment cannot be made, or has no such mode.
    """
    without = registered_environments.make(environment, horizon_steps)
    modes = simulator_of(without)._registered.metadata.get("render_modes", ())
    without.close()
    if MODE not in modes:
        raise InputError(f"`{environment}` cannot be recorded: it has no render mode `{MODE}`")
    with quiet():
        rendered = gymnasium.make(
            environment,
            max_episode_steps=horizon_steps,
            disable_env_checker=True,
            render_mode=MODE,
        )
    simulated = SimulatedEnv(RegisteredSimulator(rendered, environment), horizon_steps)
    return RenderedEnv(simulated, lambda: np.asarray(rendered.render(), np.uint8))
