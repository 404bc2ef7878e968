"""The cart with episodes of many lengths: they end where it has moved far, either way."""

from typing import Any

import gymnasium
import numpy as np
from example_environment import Cart

END_METRES = 0.3


class EndingCart(Cart):
    """Ends beyond `END_METRES`; the cost is 1 in the outer half of the way there."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move, and maybe end the episode."""
        observation, reward, _, _, _ = super().step(action)
        far = abs(self._position)
        return observation, reward, far > END_METRES, False, {"cost": float(far > END_METRES / 2)}


gymnasium.register("EndingCart-v0", entry_point=EndingCart)
