"""The frames of a clip, and whether they are marked."""

import io

import numpy as np
from PIL import Image

RED = np.array([214, 0, 0])


def frames_of(webp: bytes) -> list[np.ndarray]:
    """The frames of an animation, `[height, width, 3]` each."""
    image = Image.open(io.BytesIO(webp))
    frames = []
    for index in range(image.n_frames):
        image.seek(index)
        frames.append(np.asarray(image.convert("RGB")))
    return frames


def is_marked(frame: np.ndarray) -> bool:
    """Whether the edge is red, but for what compression changes."""
    edge = np.concatenate([frame[:4].reshape(-1, 3), frame[:, :4].reshape(-1, 3)])
    return bool(np.abs(edge.astype(int) - RED).max() < 60)
