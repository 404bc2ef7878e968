"""MetaDrive's rule-based driver, swept over speeds and accelerations as DSRL did."""

from typing import Any, NamedTuple

import gymnasium
import numpy as np

from fisor.collect.episodes import Act, Job, Trajectory

EPISODES = 20  # per roll-out, each by a different driver
SLOWEST_KM_H, FASTEST_KM_H = 1.0, 45.0
LEAST_ACCELERATION, LARGEST_ACCELERATION = 0.2, 2.0  # in units of the driver's usual one
BRAKING_SHARE = 0.7  # share of the drivers that brake for vehicles ahead
ACTION_NOISE = 0.05  # standard deviation


class Driver(NamedTuple):
    """MetaDrive's IDM driver (Treiber et al. 2000) with varied settings.

    Attributes:
        speed_km_h: its speed on a free road.
        acceleration: how hard it corrects its speed, in units of its usual acceleration.
        brakes: whether it slows down for vehicles ahead.
    """

    speed_km_h: float
    acceleration: float
    brakes: bool

    def start(self, environment: gymnasium.Env, generator: np.random.Generator) -> Act:
        """Take the wheel of the environment's vehicle."""
        from metadrive.policy.idm_policy import IDMPolicy

        vehicle = environment.simulator.vehicle  # type: ignore[attr-defined] # SimulatedEnv's
        policy: Any = IDMPolicy(vehicle, int(generator.integers(2**31)))
        policy.NORMAL_SPEED = policy.target_speed = self.speed_km_h
        policy.ACC_FACTOR = self.acceleration
        policy.disable_idm_deceleration = not self.brakes

        def act(observation: np.ndarray) -> np.ndarray:
            wanted = np.clip(np.asarray(policy.act(), np.float32), -1.0, 1.0)
            return wanted + ACTION_NOISE * generator.standard_normal(wanted.shape, np.float32)

        return act


class Sweep:
    """Drivers of random settings; nothing is learned from their episodes."""

    def __init__(self, seed: int) -> None:
        """Derive all randomness from `seed`."""
        self._seed = seed

    def init(self) -> dict[str, Any]:
        """Nothing is carried from one roll-out to the next."""
        return {}

    def jobs(self, state: dict[str, Any], iteration: int) -> list[Job]:
        """An episode for each of the roll-out's drivers."""
        generator = np.random.default_rng((self._seed, iteration))
        speeds = generator.uniform(SLOWEST_KM_H, FASTEST_KM_H, EPISODES)
        accelerations = generator.uniform(LEAST_ACCELERATION, LARGEST_ACCELERATION, EPISODES)
        brakes = generator.uniform(size=EPISODES) < BRAKING_SHARE
        return [
            Job(Driver(float(s), float(a), bool(b)), (self._seed, iteration, episode), 1)
            for episode, (s, a, b) in enumerate(zip(speeds, accelerations, brakes, strict=True))
        ]

    def learn(
        self, state: dict[str, Any], iteration: int, steps: int, streams: list[Trajectory]
    ) -> dict[str, Any]:
        """Nothing is learned."""
        return state
