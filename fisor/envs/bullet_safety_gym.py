"""Bullet-Safety-Gym's Run and Circle tasks (Gronauer 2022), as DSRL uses them."""

from typing import Any

import gymnasium
import numpy as np

from fisor.envs.simulators import SimulatedEnv, Transition, importing, quiet
from fisor.envs.suites import Suite
from fisor.errors import InputError

FAR_ABOVE_METRES = 50.0


def make(environment: str, horizon_steps: int) -> gymnasium.Env:
    """Make one of Bullet-Safety-Gym's environments.

    Args:
        environment: its name in gymnasium's registry, such as `SafetyBallRun-v0`.
        horizon_steps: the time limit of an episode.

    Returns:
        The environment; it has its own physics server, so a process may have several.

    Raises:
        InputError: the simulator cannot be imported, or has no such environment.
    """
    with importing("bullet-safety-gym"):
        import bullet_safety_gym.envs.builder  # noqa: F401 (registers the environments)
    try:
        with quiet():
            builder = gymnasium.make(environment, disable_env_checker=True).unwrapped
    except gymnasium.error.Error as error:
        raise InputError(f"bullet-safety-gym has no environment `{environment}`") from error
    return SimulatedEnv(BulletSimulator(builder), horizon_steps)


class BulletSimulator:
    """One of Bullet-Safety-Gym's environments, made to start the same way each time.

    The original carries three things over from one episode to the next, and its `reset` ignores the
    seed: starts come from NumPy's global generator.
    """

    def __init__(self, builder: Any) -> None:
        """Wrap an `EnvironmentBuilder` in which no episode has run yet."""
        self._builder = builder
        self._client, self._agent = builder.bc, builder.agent
        self._closed = False
        self.observation_dim = builder.observation_space.shape[0]
        self.action_low = builder.action_space.low
        self.action_high = builder.action_space.high
        # reset() restores this state; otherwise it would save one during the first episode.
        builder.stored_state_id = self._client.saveState()

    def start(self, seed: int) -> np.ndarray:
        """Start the episode of this seed; returns its first observation."""
        self._forget_contacts()
        self._forget_motor_targets()
        state = np.random.get_state()  # noqa: NPY002 (what the simulator draws from)
        np.random.seed(seed)  # noqa: NPY002
        try:
            return self._builder.reset()[0]
        finally:
            np.random.set_state(state)  # noqa: NPY002

    def advance(self, action: np.ndarray) -> Transition:
        """One step with `action` `[action_dim]`."""
        observation, reward, terminated, _, info = self._builder.step(action)
        return Transition(observation, reward, info["cost"], terminated)

    def close(self) -> None:
        """Stop the physics server; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._builder.close()

    def _forget_contacts(self) -> None:
        """Drop contacts with the ground, which restoring a state keeps, by a step far above it."""
        self._agent.set_position([0.0, 0.0, FAR_ABOVE_METRES])
        self._client.stepSimulation()

    def _forget_motor_targets(self) -> None:
        """Set the motors, which keep the last action's targets, to zero force, as after loading."""
        for joint in range(self._client.getNumJoints(self._agent.body_id)):
            for mode in (self._client.POSITION_CONTROL, self._client.VELOCITY_CONTROL):
                self._client.setJointMotorControl2(
                    self._agent.body_id, joint, mode, targetVelocity=0.0, force=0.0
                )


SUITE = Suite(title="Bullet-Safety-Gym", make=make)
