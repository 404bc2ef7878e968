"""Bullet-Safety-Gym rendered by Bullet's own software renderer, which needs nothing else."""

import gymnasium
import numpy as np

from fisor.envs import bullet_safety_gym
from fisor.envs.rendering.renderers import PICTURE_HEIGHT, PICTURE_WIDTH, RenderedEnv, simulator_of

# Circle tasks: from above, both limits in view. Run tasks: behind the agent, between the limits.
CIRCLE = {"distance": 13.5, "yaw": 0.0, "pitch": -70.0}
RUN = {"distance": 6.5, "yaw": -90.0, "pitch": -62.0}
CIRCLE_METRES = 6.0  # at most so far from the centre the agent leaves the camera where it is
LIGHT_BLUE = (0.75, 0.85, 1.0, 1.0)
TRANSPARENT = (1.0, 0.0, 0.0, 0.0)
FIELD_OF_VIEW_DEGREES, NEAR_METRES, FAR_METRES = 60.0, 0.1, 100.0


def make(environment: str, horizon_steps: int) -> gymnasium.Env:
    """Make one of the environments, with a camera that follows the agent."""
    made = bullet_safety_gym.make(environment, horizon_steps)
    builder = simulator_of(made)._builder
    client = builder.bc
    circle = getattr(builder.task, "circle", None)
    if circle is not None:  # dark blue, as the cars are
        client.changeVisualShape(circle.body_id, -1, rgbaColor=LIGHT_BLUE)
    projection = client.computeProjectionMatrixFOV(
        FIELD_OF_VIEW_DEGREES, PICTURE_WIDTH / PICTURE_HEIGHT, NEAR_METRES, FAR_METRES
    )

    def picture() -> np.ndarray:
        # The sphere that shows a violation would hide the agent, and outlast an episode.
        client.changeVisualShape(builder.agent.violation_body_id, -1, rgbaColor=TRANSPARENT)
        agent = np.asarray(builder.agent.get_position()[:2])
        target = agent if circle is None else agent - np.clip(agent, -CIRCLE_METRES, CIRCLE_METRES)
        view = client.computeViewMatrixFromYawPitchRoll(
            cameraTargetPosition=[*target, 0.0],
            roll=0,
            upAxisIndex=2,
            **(RUN if circle is None else CIRCLE),
        )
        pixels = client.getCameraImage(
            PICTURE_WIDTH,
            PICTURE_HEIGHT,
            view,
            projection,
            renderer=client.ER_TINY_RENDERER,
        )[2]
        image = np.asarray(pixels, np.uint8).reshape(PICTURE_HEIGHT, PICTURE_WIDTH, 4)
        return image[..., :3]

    return RenderedEnv(made, picture)
