"""Which file of a dataset is taken, and what is refused: at hand, by its content, by its hash."""

import hashlib
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from dsrl_host import (
    BLOCK,
    NAME,
    Server,
    cut,
    dataset,
    leftovers,
    obtain,
    refused,
    web_page,
)
from project import ROOT, checked, edit_yaml, run

from fisor.config.checking import checked as checked_section
from fisor.config.task import Acquire
from fisor.data import download
from fisor.errors import InputError
from stages import acquire


def test_web_page_in_place_of_the_file(tmp_path: Path, server: Server) -> None:
    """A page with status 200 is named as such, asked for once, and spoils no part."""
    server.script = [cut, web_page]
    message = refused(tmp_path, server.address)
    assert "answers with a web page (text/html)" in message
    assert (tmp_path / "downloads" / f"{NAME}.part").stat().st_size == 2 * BLOCK
    assert len(server.requests) == 2


def test_page_that_is_called_data(tmp_path: Path, server: Server) -> None:
    """The same under a false type: the file's beginning tells, and nothing of it stays."""
    server.content = b"<!DOCTYPE html><title>Sign in</title>"
    assert "is no HDF5 file: it begins with b'<!DOCTYPE html>" in refused(tmp_path, server.address)
    assert leftovers(tmp_path) == []


def test_cut_hdf5_that_is_whole_to_http(tmp_path: Path, server: Server) -> None:
    """A file that lies cut on the server has its announced size; HDF5 tells; nothing stays."""
    server.content = server.content[:-1000]
    assert "is not a whole HDF5 file" in refused(tmp_path, server.address)
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "sha256sums.txt").exists()


def test_hdf5_of_another_layout(tmp_path: Path, server: Server) -> None:
    """HDF5 without the flags of episodes is no dataset."""
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["rewards"] = np.zeros(3)
    server.content = (tmp_path / "other.hdf5").read_bytes()
    assert "field `terminals` is missing" in refused(tmp_path, server.address)


def test_wrong_number_of_episodes(tmp_path: Path, server: Server) -> None:
    """Two where the name says three: refused, removed, not recorded; the way round works."""
    server.content = dataset(tmp_path, timeouts=(9,))
    message = refused(tmp_path, server.address)
    assert "holds 2 episodes, where its name says 3" in message
    assert leftovers(tmp_path) == []
    digest = hashlib.sha256(server.content).hexdigest()
    assert f"add the line `{digest}  {NAME}`" in message
    (tmp_path / "sha256sums.txt").write_text(f"{digest}  {NAME}\n")
    assert obtain(tmp_path, server.address).read_bytes() == server.content


def test_name_without_a_number_of_episodes(tmp_path: Path, server: Server) -> None:
    """Such a file is held to HDF5 alone."""
    server.content = dataset(tmp_path, timeouts=(9,))
    assert obtain(tmp_path, server.address, name="mine.hdf5").exists()


def test_changed_hash_is_refused(tmp_path: Path, server: Server) -> None:
    """Another file under a known name: both hashes, what to do, nothing left, record as before."""
    digest = hashlib.sha256(server.content).hexdigest()
    (tmp_path / "sha256sums.txt").write_text(f"{digest}  {NAME}\n")
    server.content = dataset(tmp_path, seed=1)
    message = refused(tmp_path, server.address)
    assert digest in message
    assert hashlib.sha256(server.content).hexdigest() in message
    assert "remove that line" in message
    assert leftovers(tmp_path) == []
    assert (tmp_path / "sha256sums.txt").read_text() == f"{digest}  {NAME}\n"


@pytest.mark.parametrize("line", ["abc  x.hdf5", f"{'0' * 64}", "<<<<<<< HEAD"])
def test_damaged_checksums_are_named(tmp_path: Path, server: Server, line: str) -> None:
    """A line that is none of `sha256sum`'s is not passed over."""
    (tmp_path / "sha256sums.txt").write_text(f"{'0' * 64}  a.hdf5\n{line}\n")
    with pytest.raises(InputError, match=r"sha256sums\.txt: line 2"):
        obtain(tmp_path, server.address)


def test_file_at_hand_is_taken_first(tmp_path: Path, server: Server) -> None:
    """A copy, without any request; the file stays as it is, and its hash is recorded."""
    at_hand = tmp_path / "at_hand" / NAME
    at_hand.parent.mkdir()
    at_hand.write_bytes(dataset(tmp_path, seed=5))
    path = obtain(tmp_path, server.address)
    assert path.read_bytes() == at_hand.read_bytes()
    assert not path.samefile(at_hand)
    assert server.requests == []
    assert NAME in (tmp_path / "sha256sums.txt").read_text()


def test_wrong_file_at_hand_is_named(tmp_path: Path, server: Server) -> None:
    """A cut file in the folder is not silently replaced by another source, nor changed."""
    at_hand = tmp_path / "at_hand" / NAME
    at_hand.parent.mkdir()
    at_hand.write_bytes(server.content[:-1000])
    assert str(at_hand) in refused(tmp_path, server.address)
    assert at_hand.read_bytes() == server.content[:-1000]
    assert server.requests == []


def test_home_folder_of_dsrl_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DSRL_DATASET_DIR, files lie where the `dsrl` package puts them."""
    monkeypatch.delenv("DSRL_DATASET_DIR", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert download.dataset_directory() == Path("/home/someone/.dsrl/datasets")


@pytest.mark.parametrize(
    ("name", "episodes"),
    [
        ("SafetyBallRun-v0-80-940.hdf5", 940),
        ("SafetyPointCircle1Gymnasium-v0-65-1098.hdf5", 1098),
        ("SafetyBallRun-v0.hdf5", None),
        ("mine.hdf5", None),
    ],
)
def test_episodes_in_dsrls_names(name: str, episodes: int | None) -> None:
    """DSRL's names end by the highest cost and the number of episodes."""
    assert download.episodes_in_name(name) == episodes


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"source": "dsrl"}, "`PointRobot.acquire` must hold `file` for `source: dsrl`"),
        ({"source": "dsrl", "file": "a.hdf5", "sed": 0}, "unknown key `PointRobot.acquire.sed`"),
        ({"source": "dsrl", "file": 5}, "`PointRobot.acquire.file` must be a valid string, not 5"),
        ({"source": "dsrl", "file": "../a.hdf5"}, "`PointRobot.acquire.file` must match pattern"),
        ({"source": "dsrl", "file": "a/b.hdf5"}, "`PointRobot.acquire.file` must match pattern"),
        ({"source": "dsrl", "file": "a.pkl"}, "`PointRobot.acquire.file` must match pattern"),
        ({"source": "elsewhere", "file": "a.hdf5"}, "must be 'dsrl' or 'collect', not 'elsewhere'"),
    ],
)
def test_wrong_acquire_entries_are_named(entry: dict, problem: str) -> None:
    """A file is a plain name: it cannot lead out of the folders, and is HDF5."""
    with pytest.raises(InputError) as raised:
        checked_section(Acquire, entry, "tasks.yaml", "PointRobot.acquire")
    assert problem in str(raised.value)


def test_git_ignores_downloads_and_keeps_their_hashes() -> None:
    """The record of hashes is meant to be committed; what it is of is not."""
    ignored = run(ROOT, "git", "check-ignore", "data/downloads/a.hdf5", "data/sha256sums.txt")
    assert ignored.stdout.split() == ["data/downloads/a.hdf5"]


def test_stage_fetches_from_the_hosts_of_params_yaml(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage fetches a DSRL task's file, whose hash it records."""
    for name in ("params.yaml", "tasks.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    edit_yaml(tmp_path / "params.yaml", {"dataset_hosts": [server.address]})
    entry = {"acquire": {"source": "dsrl", "file": NAME}}
    edit_yaml(tmp_path / "tasks.yaml", {"PointRobot": entry})
    monkeypatch.chdir(tmp_path)
    acquire.main("PointRobot", "all", "data/raw/PointRobot/all.hdf5")
    assert Path("data/raw/PointRobot/all.hdf5").read_bytes() == server.content
    assert NAME in Path("data/sha256sums.txt").read_text()


def test_fetching_loads_no_array_library_of_training() -> None:
    """The stage's import is light: JAX is loaded only where data is collected."""
    code = "import sys, stages.acquire; assert 'jax' not in sys.modules"
    checked(ROOT, sys.executable, "-c", code)
