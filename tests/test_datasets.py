"""Datasets in DSRL's layout: episodes counted, and the settings of a collection."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from project import ROOT

from fisor.datasets import CollectionSettings, collection_settings, count_episodes, write_hdf5
from fisor.errors import InputError
from fisor.tasks import Task, load_task


@pytest.fixture
def task() -> Task:
    return load_task("PointRobot", ROOT / "tasks.yaml")


@pytest.mark.parametrize(
    ("terminals", "timeouts", "episodes"),
    [
        ([0, 1, 0, 0], [0, 0, 0, 1], 2),
        ([0, 1, 0, 0], [0, 0, 0, 0], 2),  # the second is cut by the file's end
        ([0, 1, 0, 0], [0, 1, 0, 1], 2),  # a row that is both ends one episode
        ([0, 0, 0, 0], [0, 0, 0, 0], 1),
        ([1, 1, 1, 1], [0, 0, 0, 0], 4),
    ],
)
@pytest.mark.parametrize("kind", [bool, np.float32])
def test_episodes_are_counted_by_their_ends(
    terminals: list[int], timeouts: list[int], episodes: int, kind: type, tmp_path: Path
) -> None:
    """A row that is terminal or timed out ends an episode, and so does the file; `[n, 1]` too."""
    flags = {
        "terminals": np.array(terminals, kind),
        "timeouts": np.array(timeouts, kind)[:, None],
    }
    write_hdf5(tmp_path / "raw.hdf5", flags)
    assert count_episodes(tmp_path / "raw.hdf5") == episodes


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"terminals": np.zeros(3)}, "`timeouts` is missing"),
        ({"terminals": np.zeros(3), "timeouts": np.zeros(2)}, "no or unequal rows"),
        ({"terminals": np.array([b"a"]), "timeouts": np.zeros(1)}, "`terminals` is missing or"),
    ],
)
def test_flags_that_cannot_be_counted(fields: dict, problem: str, tmp_path: Path) -> None:
    """Flags that are missing, of other lengths or no numbers are named with the file."""
    write_hdf5(tmp_path / "raw.hdf5", fields)
    with pytest.raises(InputError, match=rf"raw\.hdf5: .*{problem}"):
        count_episodes(tmp_path / "raw.hdf5")


def test_collection_settings_are_read(task: Task) -> None:
    """The `acquire` entry of a collected task, as numbers."""
    assert collection_settings(task) == CollectionSettings(transitions=100_000, seed=0)


@pytest.mark.parametrize(
    ("acquire", "problem"),
    [
        ({"source": "elsewhere", "transitions": 10, "seed": 0}, r"source: must be `collect`"),
        ({"transitions": 10, "seed": 0}, r"source: must be `collect`"),
        ({"source": "collect", "seed": 0}, r"must hold source, transitions, seed"),
        ({"source": "collect", "transitions": 10, "seed": 0, "speed": 1}, r"must hold source"),
        ({"source": "collect", "transitions": 1, "seed": 0}, r"transitions: .* >= 2, not 1"),
        ({"source": "collect", "transitions": 1e5, "seed": 0}, r"transitions: must be a whole"),
        ({"source": "collect", "transitions": 10, "seed": -1}, r"seed: .* >= 0, not -1"),
        ({"source": "collect", "transitions": 10, "seed": True}, r"seed: must be a whole number"),
    ],
)
def test_wrong_collection_settings_are_named(acquire: dict, problem: str, task: Task) -> None:
    """Unknown, missing, mistyped and out-of-range settings are refused with the task's name."""
    with pytest.raises(InputError, match=rf"PointRobot\.acquire.*{problem}"):
        collection_settings(dataclasses.replace(task, acquire=acquire))
