"""Datasets in DSRL's layout: written for old readers, episodes counted."""

from pathlib import Path

import numpy as np
import pytest

from fisor.data.hdf5 import count_episodes, write_hdf5
from fisor.errors import InputError


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


def test_old_libraries_can_read_what_is_written(tmp_path: Path) -> None:
    """The file's format is HDF5 1.8's, by its superblock (HDF5 File Format Specification, II.A).

    Version 0 follows the eight bytes of the signature. h5py 3.8 (HDF5 1.12) reads such a file, and
    could not read one of version 3 with flags in it.
    """
    write_hdf5(tmp_path / "raw.hdf5", {"terminals": np.zeros(3, bool), "rewards": np.zeros(3)})
    content = (tmp_path / "raw.hdf5").read_bytes()
    assert content[:8] == b"\x89HDF\r\n\x1a\n"
    assert content[8] == 0
