"""An environment that draws itself: a bright square that moves right, on noise or on grey.

Steps 5, 6 and 31 cost 1; the episode ends after as many steps as its reset seed says, modulo 50.
"""

from typing import Any

import gymnasium
import numpy as np

SIZE = 20  # pixels of the square
VIOLATING = (5, 6, 31)


class Drawn(gymnasium.Env):
    """The observation has the time and the sum of the actions, which is the reward."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, render_mode: str | None = None, noise: bool = False) -> None:
        self.render_mode, self._noise = render_mode, noise

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        assert seed is not None
        self._length, self._steps, self._moved = seed % 50, 0, float(self.np_random.normal())
        return self._observation(), {}

    def step(self, action: np.ndarray) -> Any:
        self._steps += 1
        self._moved += float(action.sum())
        cost = float(self._steps in VIOLATING)
        over = self._steps == self._length
        return self._observation(), self._moved, over, False, {"cost": cost}

    def render(self) -> np.ndarray:
        assert self.render_mode == "rgb_array"
        picture = np.full((180, 240, 3), 60, np.uint8)
        if self._noise:
            draw = np.random.default_rng(self._steps)
            picture = draw.integers(0, 256, picture.shape, np.uint8)
        left = 20 + 4 * self._steps
        picture[80 : 80 + SIZE, left : left + SIZE] = 255
        return picture

    def _observation(self) -> np.ndarray:
        return np.array([self._steps / 10, self._moved, 1.0], np.float32)


class Blind(Drawn):
    """The same without pictures."""

    metadata = {"render_modes": []}  # noqa: RUF012


gymnasium.register("Drawn-v0", entry_point=Drawn)
gymnasium.register("Noisy-v0", entry_point=Drawn, kwargs={"noise": True})
gymnasium.register("Blind-v0", entry_point=Blind)
