"""Any environment of gymnasium's registry whose steps report a cost."""

from typing import Any

import gymnasium
import numpy as np

from fisor.envs.simulators import SimulatedEnv, Transition, quiet
from fisor.envs.suites import Suite
from fisor.errors import InputError


def make(environment: str, horizon_steps: int) -> gymnasium.Env:
    """Make a registered environment.

    Args:
        environment: its id. `module:id` imports the module first, which registers the id.
        horizon_steps: the time limit of an episode, which replaces the environment's own.

    Returns:
        The environment.

    Raises:
        InputError: there is no such id, its module cannot be imported, its observations or actions
            are not vectors, or its actions are not bounded.
    """
    try:
        with quiet():
            registered = gymnasium.make(
                environment, max_episode_steps=horizon_steps, disable_env_checker=True
            )
    except (gymnasium.error.Error, ImportError) as error:
        raise InputError(f"gymnasium has no environment `{environment}` ({error})") from error
    observations, actions = registered.observation_space, registered.action_space
    for name, space in (("observation", observations), ("action", actions)):
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise InputError(f"`{environment}`: its {name}s must be a Box of vectors, not {space}")
    assert isinstance(actions, gymnasium.spaces.Box)
    if not actions.is_bounded():
        raise InputError(f"`{environment}`: its actions must be bounded, not {actions}")
    return SimulatedEnv(RegisteredSimulator(registered, environment), horizon_steps)


class RegisteredSimulator:
    """A registered environment; its `reset(seed=...)` must reproduce an episode."""

    def __init__(self, registered: Any, name: str) -> None:
        """Wrap an environment; `name` is for messages."""
        self._registered, self._name = registered, name
        self.observation_dim = registered.observation_space.shape[0]
        self.action_low = registered.action_space.low
        self.action_high = registered.action_space.high

    def start(self, seed: int) -> np.ndarray:
        """Start the episode of this seed; returns its first observation."""
        return self._registered.reset(seed=seed)[0]

    def advance(self, action: np.ndarray) -> Transition:
        """One step with `action` `[action_dim]`."""
        action = action.astype(self._registered.action_space.dtype)
        observation, reward, terminated, truncated, info = self._registered.step(action)
        if "cost" not in info:
            raise InputError(f"`{self._name}`: the info of its steps has no `cost`")
        return Transition(observation, reward, info["cost"], terminated, truncated)

    def close(self) -> None:
        """Release what the environment holds."""
        self._registered.close()


SUITE = Suite(title="Other environments", make=make)
