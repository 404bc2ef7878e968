"""A dataset in parts, one for each learner: the bytes of the whole, in whatever order they run."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from configured import section
from interrupted_pool import interrupt
from project import ROOT, edit_yaml, write_dsrl_file

from fisor.collect import learner, parts
from fisor.collect.collect import collect
from fisor.config.data import AcquireStage
from fisor.data import hdf5
from fisor.errors import InputError
from stages import acquire, code, convert

STREAMS = 4  # of 200 steps, with episodes that end early more: a roll-out is 800 to 900
CART = {
    "paper": False,
    "suite": "gymnasium",
    "environment": "ending_environment:EndingCart-v0",
    "horizon_steps": 25,
    "cost_limit": 1,
    "reference_returns": [-1, 1],
    "dense_violation": False,
    "record_observations": False,
    "acquire": {
        "source": "collect",
        "environment_steps": 7003,  # which five do not divide
        "episodes": 100,
        "highest_cost": 16,
        "seed": 3,
    },
    "prompts": None,
    "overrides": {},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the parameters and a further task."""
    for name in ("params.yaml", "tasks.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    edit_yaml(tmp_path / "tasks.yaml", {"Cart": CART})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(learner, "STREAMS", STREAMS)
    return tmp_path


def raw(task: str, part: str | int) -> Path:
    return Path("data/raw") / task / f"{part}.hdf5"


def made(task: str, order: Sequence[str | int]) -> bytes:
    """The Parquet file from parts that are made in some order."""
    for part in order:
        if not raw(task, part).exists():
            acquire.main(task, str(part), str(raw(task, part)))
    edit_yaml(Path("params.yaml"), {"acquire_parts": sorted(order, key=str)})
    convert.main(task, str(Path("data/raw") / task), "transitions.parquet")
    return Path("transitions.parquet").read_bytes()


def test_parts_give_the_bytes_of_the_whole(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last learner first, one of them interrupted, and the whole still in the folder."""
    whole = made("Cart", [parts.WHOLE])
    rows = pl.read_parquet("transitions.parquet")
    assert rows["episode"].n_unique() == 100
    assert rows["terminal"].any()
    assert rows["timeout"].any()

    with monkeypatch.context() as patch:
        interrupt(patch, at_call=3)
        with pytest.raises(KeyboardInterrupt):
            acquire.main("Cart", "2", str(raw("Cart", 2)))
    assert len(list(project.glob("data/collecting/Cart-2/*"))) == 1
    assert made("Cart", [4, 3, 2, 1, 0]) == whole
    assert "going on from step 8" in capsys.readouterr().err
    assert not list(project.glob("data/collecting/*"))
    ends = []
    for part in parts.LEARNERS:
        with hdf5.open_hdf5(raw("Cart", part)) as file:
            assert file["rewards"].shape[0] >= 1401  # its share, rounded up
            ends.append((file["terminals"][...] | file["timeouts"][...]).sum())
            assert file["last_observations"].shape == (ends[-1], 1)
    assert sum(ends) > 100  # more than are kept


def test_what_is_not_learned_is_the_first_part(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of DSRL's gives the same Parquet; in the other parts' files there is nothing."""
    write_dsrl_file(project, "BallRun", 7, 2)
    monkeypatch.setenv("DSRL_DATASET_DIR", str(project))
    whole = made("BallRun", [parts.WHOLE])
    assert made("BallRun", parts.LEARNERS) == whole
    with hdf5.open_hdf5(raw("BallRun", 1)) as file:
        assert not file.keys()
    for task in ("PointRobot", "easysparse"):  # a script, and a driver
        collected = section(AcquireStage, task, acquire={"source": "collect"})
        assert collect(collected, "1", project) == {}


def test_an_empty_file_is_no_dataset(project: Path) -> None:
    """Only a further part may have nothing; alone it is refused, by its name."""
    hdf5.write_hdf5(raw("Cart", "all"), {})
    with pytest.raises(InputError, match=r"data/raw/Cart/all\.hdf5: field `observations`"):
        convert.main("Cart", "data/raw/Cart", "transitions.parquet")


def test_a_missing_part_is_named(project: Path) -> None:
    """With what makes it."""
    edit_yaml(Path("params.yaml"), {"acquire_parts": list(parts.LEARNERS)})
    hdf5.write_hdf5(raw("Cart", 0), {"rewards": np.zeros(1)})
    with pytest.raises(InputError, match=r"data/raw/Cart/4\.hdf5: there is no such file"):
        convert.main("Cart", "data/raw/Cart", "transitions.parquet")


@pytest.mark.parametrize("odd", [[], [0], [0, 1, 2, 3], [4, 3, 2, 1, 0], ["all", 0], ["0"]])
def test_other_divisions_are_refused(project: Path, odd: list[str | int]) -> None:
    """Before anything runs, by stage `code`; the message has both that there are."""
    edit_yaml(Path("params.yaml"), {"acquire_parts": odd})
    message = r"params\.yaml: `acquire_parts` must be \[all\], or \[0, 1, 2, 3, 4\] for"
    with pytest.raises(InputError, match=message):
        code.main(str(ROOT / "requirements.lock"), "data/code")
    assert not Path("data").exists()


def test_no_two_roll_outs_have_the_same_randomness() -> None:
    """Of five learners with a share that is no multiple of their roll-outs of 20 x 200 steps."""
    found = []
    for schedule in parts.LEARNERS:
        sizes = {"horizon_steps": 25, "highest_cost": 16.0, "discount": 0.99, "seed": 0}
        one = learner.Learner(1, 1, schedule=schedule, share_steps=9000, **sizes)
        state = one.init()
        found += [job.entropy for number in range(3) for job in one.jobs(state, number)]
    assert len(found) == len(set(found)) == 5 * 3 * 20
