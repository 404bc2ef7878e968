"""MetaDrive from above, drawn by pygame without a display."""

import os

import gymnasium
import numpy as np

from fisor.envs import metadrive
from fisor.envs.rendering.renderers import PICTURE_HEIGHT, PICTURE_WIDTH, RenderedEnv, simulator_of
from fisor.envs.simulators import importing, quiet

FILM_PIXELS = 1400  # of the whole map, of which a picture shows a part


def make(environment: str, horizon_steps: int) -> gymnasium.Env:
    """Make one of the driving tasks, with a view of the vehicle from above.

    Raises:
        InputError: the simulator or pygame cannot be imported.
    """
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    made = metadrive.make(environment, horizon_steps)
    with importing("pygame"):
        import pygame
    driving = simulator_of(made)._driving

    def picture() -> np.ndarray:
        with quiet():
            surface = driving.render(
                mode="topdown",
                film_size=(FILM_PIXELS, FILM_PIXELS),
                screen_size=(PICTURE_WIDTH, PICTURE_HEIGHT),
                track_target_vehicle=True,
            )
        return pygame.surfarray.array3d(surface).swapaxes(0, 1)

    return RenderedEnv(made, picture)
