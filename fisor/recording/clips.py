"""Pictures of an episode as an animated WebP of limited size, with violating steps marked."""

import io
import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from fisor.envs.rendering.renderers import PICTURE_HEIGHT, PICTURE_WIDTH

MOST_FRAMES = 60
MOST_BYTES = 48 * 1024
FRAMES_PER_SECOND = 10.0
QUALITIES = (80, 60, 40, 20, 10, 5)  # of WebP, 0 to 100
BORDER_PIXELS, BORDER_COLOUR = 8, (214, 0, 0)


class Clip(NamedTuple):
    """An animation.

    Attributes:
        webp: the file's bytes, at most `MOST_BYTES`.
        steps_per_frame: steps of the episode from one frame to the next; to the last one, fewer if
            the length is no multiple.
        frames_per_second: the speed at which it plays.
    """

    webp: bytes
    steps_per_frame: int
    frames_per_second: float


def steps_per_picture(length: int) -> int:
    """How many steps lie between two pictures, so that start and end are among `MOST_FRAMES`.

    Args:
        length: most steps of the episode, at least 1.
    """
    return math.ceil(length / (MOST_FRAMES - 1))


def clip(pictures: Sequence[np.ndarray], shown: Sequence[int], violating: Collection[int]) -> Clip:
    """Encode an episode: at lower quality, then with fewer frames, until the file is small enough.

    Args:
        pictures: `[height, width, 3]` uint8, at most `MOST_FRAMES`, of the start and after steps at
            equal distances; and of the end.
        shown: the number of steps done in each picture, from 0.
        violating: the steps, from 1, after which the cost was positive. A frame has a red border if
            one of the steps since the frame before it is among them.
    """
    images = [_fitted(picture) for picture in pictures]
    apart = shown[1] - shown[0]
    for every in range(1, len(images) + 1):
        kept = [*range(0, len(images) - 1, every), len(images) - 1]
        ends = [shown[index] for index in kept]
        frames = [
            _marked(images[index])
            if any(before < step <= end for step in violating)
            else images[index]
            for index, before, end in zip(kept, [-1, *ends], ends, strict=False)
        ]
        speed = FRAMES_PER_SECOND / every
        if len(_encoded(frames, QUALITIES[-1], speed)) > MOST_BYTES:
            continue
        for quality in QUALITIES:
            webp = _encoded(frames, quality, speed)
            if len(webp) <= MOST_BYTES:
                return Clip(webp, apart * every, speed)
    raise AssertionError("two frames of lowest quality are smaller than the limit")


def _fitted(picture: np.ndarray) -> Image.Image:
    """A picture in a frame's size, its proportions kept."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    size = PICTURE_WIDTH, PICTURE_HEIGHT
    return image if image.size == size else ImageOps.pad(image, size)


def _marked(image: Image.Image) -> Image.Image:
    """A frame with a red border in place of its edge."""
    inside = ImageOps.crop(image, BORDER_PIXELS)
    return ImageOps.expand(inside, BORDER_PIXELS, BORDER_COLOUR)


def _encoded(frames: Sequence[Image.Image], quality: int, frames_per_second: float) -> bytes:
    file = io.BytesIO()
    frames[0].save(
        file,
        format="WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / frames_per_second),
        loop=0,
        quality=quality,
        method=4,
    )
    return file.getvalue()
