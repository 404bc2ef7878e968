"""Safety-Gymnasium's navigation and velocity tasks (Ji et al. 2023), of release 0.4 as in DSRL."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import yaml

from fisor.envs.simulators import SimulatedEnv, Transition, importing, quiet
from fisor.envs.suites import Suite
from fisor.errors import InputError


def make(environment: str, horizon_steps: int) -> gymnasium.Env:
    """Make one of Safety-Gymnasium's environments.

    Args:
        environment: its name in Safety-Gymnasium's registry, such as `SafetyCarGoal1-v0`.
        horizon_steps: the time limit of an episode, at most the simulator's own 1000 steps.

    Returns:
        The environment.

    Raises:
        InputError: the simulator cannot be imported, or has no such environment.
    """
    with _array_defaults_allowed(), importing("safety-gymnasium"):
        # The package alone is not enough: its builder imports the tasks' dataclasses.
        import safety_gymnasium.builder  # noqa: F401
        from safety_gymnasium import world
        from safety_gymnasium.utils import registration
    _replace_sky(world)
    if environment not in registration.safe_registry:
        raise InputError(f"safety-gymnasium has no environment `{environment}`")
    with quiet():
        simulated = registration.make(environment, disable_env_checker=True).unwrapped
        # The very first reset builds the world twice, and differs from later ones in last bits.
        simulated.reset(seed=0)
    return SimulatedEnv(MujocoSimulator(simulated), horizon_steps)


class MujocoSimulator:
    """One of Safety-Gymnasium's environments, without its own time limit's wrapper."""

    def __init__(self, simulated: Any) -> None:
        """Wrap an environment whose `step` gives six values, the cost third."""
        self._simulated = simulated
        self.observation_dim = simulated.observation_space.shape[0]
        self.action_low = simulated.action_space.low
        self.action_high = simulated.action_space.high

    def start(self, seed: int) -> np.ndarray:
        """Start the episode of this seed; returns its first observation."""
        return self._simulated.reset(seed=seed)[0]

    def advance(self, action: np.ndarray) -> Transition:
        """One step with `action` `[action_dim]`."""
        observation, reward, cost, terminated, *_ = self._simulated.step(action)
        return Transition(observation, reward, cost, terminated)

    def close(self) -> None:
        """Nothing to release: MuJoCo's memory goes with the object."""


def _replace_sky(world: ModuleType) -> None:
    """Give the simulator's worlds a plain sky.

    Each reset compiles the world anew, and 99 % of that time would be spent on reading six large
    pictures of stars, which only show in renderings: 1.2 s instead of 0.01 s. The physics do not
    change.
    """

    def load(*arguments: Any, **options: Any) -> Any:
        assets = yaml.load(*arguments, **options)
        assets["textures"]["skybox"] = {
            "@type": "skybox",
            "@builtin": "flat",
            "@rgb1": "0 0 0",
            "@width": "1",
            "@height": "6",  # the six sides of a cube, one above the other
        }
        return assets

    world.yaml = SimpleNamespace(load=load, FullLoader=yaml.FullLoader)  # type: ignore[attr-defined]


@contextlib.contextmanager
def _array_defaults_allowed() -> Iterator[None]:
    """Allow NumPy arrays as defaults of dataclasses, copied for each object, while importing.

    The tasks of release 0.4 use them, and Python 3.11 rejects them.
    """
    original = dataclasses.dataclass

    def dataclass(cls: type | None = None, /, **options: Any) -> type | Callable[[type], type]:
        if cls is None:
            return lambda decorated: original(_with_factories(decorated), **options)
        return original(_with_factories(cls), **options)

    dataclasses.dataclass = dataclass  # type: ignore[assignment]
    try:
        yield
    finally:
        dataclasses.dataclass = original


def _with_factories(cls: type) -> type:
    for name, default in list(vars(cls).items()):
        if isinstance(default, np.ndarray):
            setattr(cls, name, dataclasses.field(default_factory=default.copy))
    return cls


SUITE = Suite(title="Safety-Gymnasium", make=make)
