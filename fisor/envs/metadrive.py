"""MetaDrive (Li et al. 2022) with the maps, traffic, costs and ends of episodes that DSRL uses.

DSRL's data comes from a fork of MetaDrive 0.2.6; this is 0.3.0.1, the closest release that can be
installed. Between the two, `velocity` changed from km/h to m/s; DSRL's cost is in km/h (episodes in
its files cost up to 85, and with m/s they could not even reach 25 on roads of these lengths).
"""

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import gymnasium
import numpy as np

from fisor.envs.simulators import SimulatedEnv, Transition, importing, quiet
from fisor.envs.suites import Suite
from fisor.errors import InputError

ROADS = {"easy": ("SCS", 0), "medium": ("XST", 100), "hard": ("TRO", 200)}  # blocks, seed
TRAFFIC_DENSITY = {"sparse": 0.1, "mean": 0.15, "dense": 0.2}  # vehicles per 10 m of lane
LIDAR_RAYS = 240  # the observation's last entries, distances over 50 m
COST_FREE_SPEED_KM_H, COST_PER_KM_H = 10.0, 0.01
COST_FREE_DISTANCE, PROXIMITY_FACTOR = 0.1, 0.01


def make(environment: str, horizon_steps: int) -> gymnasium.Env:
    """Make one of DSRL's nine driving tasks.

    Args:
        environment: road and traffic, such as `mediummean`: easy, medium or hard, then sparse, mean
            or dense.
        horizon_steps: the time limit of an episode.

    Returns:
        The environment. A process can have only one engine: close it before making another.

    Raises:
        InputError: the simulator cannot be imported, or there is no such environment.
        RuntimeError: another MetaDrive environment of this process is still open.
    """
    known = {road + traffic: (road, traffic) for road in ROADS for traffic in TRAFFIC_DENSITY}
    if environment not in known:
        raise InputError(f"MetaDrive has no task `{environment}`; there are: {', '.join(known)}")
    with _gymnasium_for_gym(), importing("metadrive-simulator"):
        from metadrive import envs
        from metadrive.engine.engine_utils import engine_initialized

    if engine_initialized():
        raise RuntimeError(
            "MetaDrive has one engine a process, and it is in use: close the other environment "
            "first, or give each a process of its own"
        )
    road, traffic = known[environment]
    blocks, map_seed = ROADS[road]
    with quiet():
        driving = envs.SafeMetaDriveEnv(
            {
                "start_seed": map_seed,
                "environment_num": 1,
                "map": blocks,
                "traffic_density": TRAFFIC_DENSITY[traffic],
                "traffic_mode": "hybrid",
                "random_traffic": True,
                "accident_prob": 0.0,
                "crash_vehicle_penalty": 0.0,
                # Reused vehicles of an earlier episode would differ slightly from new ones.
                "force_destroy": True,
            }
        )
        driving.reset(force_seed=map_seed)  # launches the engine
    return SimulatedEnv(DrivingSimulator(driving, map_seed), horizon_steps)


class DrivingSimulator:
    """MetaDrive's safe environment with DSRL's additional costs; a seed sets the traffic."""

    def __init__(self, driving: Any, map_seed: int) -> None:
        """Wrap a `SafeMetaDriveEnv` whose engine runs."""
        self._driving, self._map_seed = driving, map_seed
        self._closed = False
        self.observation_dim = driving.observation_space.shape[0]
        self.action_low = driving.action_space.low
        self.action_high = driving.action_space.high

    @property
    def vehicle(self) -> Any:
        """The vehicle that actions drive, a new one in each episode."""
        return self._driving.vehicle

    def start(self, seed: int) -> np.ndarray:
        """Start the episode of this seed; returns its first observation."""
        from metadrive.base_class.randomizable import Randomizable

        # Its own `seed` has no effect on random traffic, which would be drawn without a seed.
        Randomizable.seed(self._driving.engine.traffic_manager, seed)
        return self._driving.reset(force_seed=self._map_seed)

    def advance(self, action: np.ndarray) -> Transition:
        """One step of 0.1 s with `action` `[2]`: steering and throttle."""
        observation, reward, _, info = self._driving.step(action)
        speed = self.vehicle.speed_km_h
        distance = observation[-LIDAR_RAYS:].min()
        cost = (
            info["cost"]
            + COST_PER_KM_H * max(0.0, speed - COST_FREE_SPEED_KM_H)
            + PROXIMITY_FACTOR * max(0.0, COST_FREE_DISTANCE - distance) ** 2
        )
        terminated = info["arrive_dest"] or info["crash"] or info["out_of_road"]
        return Transition(observation, reward, cost, terminated)

    def close(self) -> None:
        """Stop the engine; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._driving.close()


@contextlib.contextmanager
def _gymnasium_for_gym() -> Iterator[None]:
    """Replace gym by gymnasium while MetaDrive is imported.

    MetaDrive uses gym's spaces and base class, which gymnasium has as well, and registers its
    environments there, which is not needed here. So gym, unmaintained and without a wheel, is not
    installed.
    """
    registration = ModuleType("gym.envs.registration")
    registration.register = lambda **_: None  # type: ignore[attr-defined]
    registration.registry = SimpleNamespace(env_specs={})  # type: ignore[attr-defined]
    stand_ins = {
        "gym": gymnasium,
        "gym.spaces": gymnasium.spaces,
        "gym.envs": gymnasium.envs,
        "gym.envs.registration": registration,
    }
    kept = {name: sys.modules[name] for name in stand_ins if name in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]
        sys.modules.update(kept)


SUITE = Suite(title="MetaDrive", make=make, behaviour="driver", one_per_process=True)
