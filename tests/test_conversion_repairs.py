"""Conversion: what differs from file to file is mended, dropped or refused, and counted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from raw_dataset import EPISODE, ROWS, changes_of, chunks_of, column, fields, refused

from fisor.data.conversion import Changes

EVERY_CHUNK = pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 1000])


@EVERY_CHUNK
def test_episode_cut_by_the_end_of_the_file(
    rows: int, converted: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last row, neither terminal nor timed out, becomes a timeout, and that is counted."""
    chunks_of(rows, monkeypatch)
    path = converted()
    assert np.flatnonzero(column(path, "timeout")).tolist() == [3, 7, 9]
    assert np.flatnonzero(column(path, "terminal")).tolist() == [4]
    assert changes_of(path) == Changes(cut_episodes=1)
    ended = fields()["timeouts"] | (np.arange(ROWS) == 9)
    assert changes_of(converted(timeouts=ended)) == Changes()


@EVERY_CHUNK
def test_next_observations_are_rebuilt(
    rows: int, converted: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside an episode, the next row's; the last rows of those that did not terminate go.

    Rows 3 and 7 time out and row 9 is cut: what followed is unknown. Row 4 is terminal: it stays
    and repeats its own. So episodes of 3, 1, 2 and 1 rows are left, from rows 0 1 2, 4, 5 6, 8.
    """
    chunks_of(rows, monkeypatch)
    path, seen = converted(without="next_observations"), fields()["observations"]
    kept = [0, 1, 2, 4, 5, 6, 8]
    np.testing.assert_array_equal(column(path, "observation"), seen[kept])
    np.testing.assert_array_equal(column(path, "next_observation"), seen[[1, 2, 3, 4, 6, 7, 9]])
    assert column(path, "episode") == [0, 0, 0, 1, 2, 2, 3]
    assert column(path, "step") == [0, 1, 2, 0, 0, 1, 0]
    assert np.flatnonzero(column(path, "timeout")).tolist() == [2, 5, 6]
    assert np.flatnonzero(column(path, "terminal")).tolist() == [3]
    np.testing.assert_array_equal(column(path, "reward"), fields()["rewards"][kept])
    assert changes_of(path) == Changes(
        rebuilt_next_observations=7, rows_without_successor=3, cut_episodes=1
    )


@EVERY_CHUNK
@pytest.mark.parametrize(
    ("bad", "kept", "timeouts"),
    [
        ([1], [0, 2, 3, 4, 5, 6, 7, 8, 9], [3, 7, 9]),  # inside of an episode
        ([3], [0, 1, 2, 4, 5, 6, 7, 8, 9], [2, 7, 9]),  # a timeout: the row before ends it
        ([6, 7], [0, 1, 2, 3, 4, 5, 8, 9], [3, 5, 9]),
        ([4], [0, 1, 2, 3, 5, 6, 7, 8, 9], [3, 7, 9]),  # all of an episode: it is gone
        ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [7, 9]),
        ([8, 9], [0, 1, 2, 3, 4, 5, 6, 7], [3, 7]),
        ([9], [0, 1, 2, 3, 4, 5, 6, 7, 8], [3, 7, 8]),
    ],
    ids=str,
)
def test_dropped_rows_leave_episodes_right(
    rows: int,
    bad: list[int],
    kept: list[int],
    timeouts: list[int],
    converted: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other rows stay as they are; episodes and steps are counted anew; no episode stays open."""
    chunks_of(rows, monkeypatch)
    rewards = fields()["rewards"]
    rewards[bad] = np.nan
    path = converted(drop=True, rewards=rewards)
    for field in ("observation", "action", "next_observation"):
        np.testing.assert_array_equal(column(path, field), fields()[f"{field}s"][kept])
    assert [kept[row] for row in np.flatnonzero(column(path, "timeout"))] == timeouts
    assert [kept[row] for row in np.flatnonzero(column(path, "terminal"))] == (
        [4] if 4 in kept else []
    )
    old = [EPISODE[row] for row in kept]
    numbers = {episode: number for number, episode in enumerate(dict.fromkeys(old))}
    assert column(path, "episode") == [numbers[episode] for episode in old]
    assert column(path, "step") == [old[:row].count(old[row]) for row in range(len(old))]
    assert changes_of(path) == Changes(unusable_rows=len(bad), cut_episodes=1)


def test_every_row_that_cannot_be_used_is_counted(
    tmp_path: Path, converted: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over all chunks: the first five rows with their reasons, the count, and the way out."""
    chunks_of(3, monkeypatch)
    given = fields()
    given["rewards"][[0, 2]] = np.nan
    given["costs"][2] = -1
    given["actions"][[4, 5], 1] = 5.5
    given["observations"][[7, 8, 9], 0] = np.inf
    refused(
        tmp_path,
        converted,
        "7 of 10 rows cannot be used: row 0 (`rewards` is NaN or infinite); "
        "row 2 (`rewards` is NaN or infinite and `costs` is negative); "
        "row 4 (`actions` is beyond [-5, 5]); row 5 (`actions` is beyond [-5, 5]); "
        "row 7 (`observations` is NaN or infinite) and 2 more.",
        "`drop_bad_rows: true` in params.yaml",
        **given,
    )


def test_nothing_usable(tmp_path: Path, converted: Callable) -> None:
    """If every row is dropped, there is no dataset."""
    rewards = np.full(ROWS, np.nan, np.float32)
    refused(tmp_path, converted, "holds no usable transition", drop=True, rewards=rewards)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_actions_a_little_out_of_bounds_are_clipped(kind: type, converted: Callable) -> None:
    """Up to 5, as in some of DSRL's files, clipped and counted by rows; others as they were."""
    actions = fields()["actions"].astype(kind)
    actions[2], actions[3, 1], actions[5, 0] = (1 + 5e-7, -1.25), 5, 1
    path = converted(actions=actions)
    expected = fields()["actions"]
    expected[2], expected[3, 1], expected[5, 0] = (1, -1), 1, 1
    np.testing.assert_array_equal(column(path, "action"), expected)
    assert changes_of(path) == Changes(clipped_actions=2, cut_episodes=1)


def test_changes_are_said_with_their_counts() -> None:
    """A sentence for each change that was made, none for those that were not."""
    assert Changes().sentences() == []
    said = Changes(7, 1, 2000, 3, 1, 5).sentences()
    assert [sentence.split()[0] for sentence in said] == ["7", "1", "2,000", "3", "1", "5"]
