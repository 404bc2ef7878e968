"""Parts of recordings: which episodes, and clips with their marks and within their size."""

import numpy as np
import pytest
from decoded_clips import frames_of, is_marked

from fisor.evaluation.rollouts import slots_of
from fisor.recording.choice import chosen_episodes
from fisor.recording.clips import BORDER_PIXELS, MOST_BYTES, MOST_FRAMES, clip, steps_per_picture

# Which episodes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("costs", "returns", "expected"),
    [
        ([3, 0, 9, 1, 2], [1, 1, 1, 1, 1], {"median": 4, "worst": 2}),
        ([0, 0, 0], [5, 7, 6], {"median": 2, "worst": 0}),  # by return where costs are equal
        ([0, 1, 2, 3], [0, 0, 0, 0], {"median": 1, "worst": 3}),  # the lower one of the middle
        ([0, 4, 4, 4, 1], [0, 3, 2, 9, 0], {"median": 2}),  # both are the same episode
        ([4, 4, 0, 4, 4], [1, 2, 0, 0, 9], {"median": 0, "worst": 3}),
        ([7], [1], {"median": 0}),
        ([1, 1, 1], [2, 2, 2], {"median": 1, "worst": 0}),  # equal ones in their order
    ],
)
def test_median_and_worst_of_hand_made_tables(
    costs: list[float], returns: list[float], expected: dict[str, int]
) -> None:
    """By cost, then by return: the middle; the highest cost, then the lowest return."""
    assert chosen_episodes(np.array(costs, float), np.array(returns, float)) == expected


def test_slots_are_those_of_a_rollout() -> None:
    """By hand: a slot takes the next episode one turn after its last step; ties by number."""
    # Slot 0: episode 0 in turns 0-2, 2 in 3-6, 4 in 7; slot 1: 1 in turns 0-5, 3 in 6-7.
    assert slots_of(np.array([2, 5, 3, 1, 9]), 2).tolist() == [0, 1, 0, 1, 0]
    assert slots_of(np.array([4, 4, 4, 4, 4]), 2).tolist() == [0, 1, 0, 1, 0]


# A clip -------------------------------------------------------------------------------------------


def test_a_violation_between_two_pictures_is_marked() -> None:
    """Of 11 pictures 7 steps apart those after a violating step are marked, and no other.

    Step 8 lies in (7, 14], step 21 on a picture, step 70 on the last.
    """
    pictures = [np.full((180, 240, 3), 20 * i, np.uint8) for i in range(11)]
    made = clip(pictures, range(0, 71, 7), {8, 21, 70})
    frames = frames_of(made.webp)
    assert (made.steps_per_frame, made.frames_per_second) == (7, 10.0)
    assert [i for i, frame in enumerate(frames) if is_marked(frame)] == [2, 3, 10]
    inside = [frame[BORDER_PIXELS + 4 : 170, 20:220].mean() for frame in frames]
    np.testing.assert_allclose(inside, np.arange(11) * 20, atol=4)


def test_noise_is_made_to_fit() -> None:
    """What cannot be compressed loses quality, then frames; marks, start and end stay."""
    draw = np.random.default_rng(0)
    pictures = [draw.integers(0, 256, (180, 240, 3), np.uint8) for _ in range(MOST_FRAMES)]
    made = clip(pictures, range(MOST_FRAMES), {1})
    frames = frames_of(made.webp)
    assert len(made.webp) <= MOST_BYTES
    assert len(frames) == -(-(MOST_FRAMES - 1) // made.steps_per_frame) + 1 < MOST_FRAMES
    assert made.frames_per_second == 10 / made.steps_per_frame
    assert [is_marked(frame) for frame in frames[:3]] == [False, True, False]


def test_pictures_of_other_sizes_fit_a_frame() -> None:
    """An environment of one's own may draw as large as it likes."""
    made = clip(
        [np.full((400, 400, 3), 90, np.uint8), np.zeros((400, 400, 3), np.uint8)], [0, 1], ()
    )
    assert frames_of(made.webp)[0].shape == (180, 240, 3)


@pytest.mark.parametrize("length", [1, 58, 59, 60, 100, 1000])
def test_few_enough_pictures(length: int) -> None:
    """The start, one after each so many steps, and the end: at most as many as frames."""
    every = steps_per_picture(length)
    assert 1 + -(-length // every) <= MOST_FRAMES
    assert every == 1 or 1 + -(-length // (every - 1)) > MOST_FRAMES
