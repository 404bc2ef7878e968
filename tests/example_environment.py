"""An environment of one's own: a cart on a line that gains by going far but must not pass a wall.

It is what fisor/envs/README.md shows.
"""

from typing import Any

import gymnasium
import numpy as np

WALL_METRES = 1.0
TOP_SPEED = 0.1  # metres a step


class Cart(gymnasium.Env):
    """The action sets the speed; the reward is the distance covered, the cost 1 past the wall."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start near the origin."""
        super().reset(seed=seed)
        self._position = self.np_random.uniform(-0.1, 0.1)
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move; the info carries the cost."""
        distance = TOP_SPEED * float(action[0])
        self._position += distance
        cost = float(self._position > WALL_METRES)
        return self._observation(), distance, False, False, {"cost": cost}

    def _observation(self) -> np.ndarray:
        return np.array([self._position], np.float32)


gymnasium.register("Cart-v0", entry_point=Cart)
