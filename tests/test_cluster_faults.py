"""Faults of `fisor.cluster`: a training is killed, two launchers at once, the remote goes away."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from paused_training import GOING_ON, go, made, paused_training, reached
from project import ROOT, checked, edit_yaml, run
from tiny_pipeline import ran, remote_away, share, tiny_pipeline

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "fisor.cluster", "local", "--workers", "1")
LOGS = ".dvc/tmp/cluster/logs"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The projects here have no `fisor` of their own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def started(project: Path) -> subprocess.Popen:
    return subprocess.Popen(COMMAND, cwd=project, stderr=subprocess.PIPE, text=True)


def wait_until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(process: int) -> Sequence[int]:
    found = subprocess.run(
        ["pgrep", "--parent", str(process)], text=True, capture_output=True, check=True
    )
    return [int(number) for number in found.stdout.split()]


@pytest.mark.parametrize("killed", ["the training", "the worker", "the launcher"])
def test_a_killed_training_goes_on_from_its_checkpoint(tmp_path: Path, killed: str) -> None:
    """From update 4 of 8, to the bytes of a training that nobody killed.

    The training alone is killed as for want of memory; the worker is DVC around it; the launcher is
    terminated, and started again.
    """
    project = paused_training(tmp_path / "killed")
    with started(project) as launcher:
        wait_until(reached(project).exists)
        go(project).touch()
        if killed == "the training":
            os.kill(int(reached(project).read_text()), signal.SIGKILL)
        elif killed == "the worker":
            (worker,) = children(launcher.pid)
            os.kill(worker, signal.SIGKILL)
        else:
            launcher.send_signal(signal.SIGTERM)
        _, said = launcher.communicate()
    if killed == "the launcher":
        assert launcher.returncode == 130, said
        checked(project, *COMMAND)
    else:
        assert launcher.returncode == 0, said
        assert said.count("its worker was lost; once more") == 1
    assert GOING_ON in (project / LOGS / "train.log").read_text()

    undisturbed = paused_training(tmp_path / "undisturbed")
    go(undisturbed).touch()
    checked(undisturbed, *COMMAND)
    assert "going on" not in (undisturbed / LOGS / "train.log").read_text()
    assert made(project) == made(undisturbed)


def test_two_launchers_in_one_folder(tmp_path: Path) -> None:
    """The second one waits for the first, and finds everything done."""
    project = tiny_pipeline(tmp_path, letters="a", seconds=2)
    with started(project) as first:
        wait_until(lambda: "part@a" in ran(project))
        said = checked(project, *COMMAND)
        first.communicate()
    assert first.returncode == 0
    assert "another launcher, or stages that one has left running, use this folder" in said
    assert "everything is up to date (4 stages)" in said
    assert ran(project) == ["code", "part@a", "twice@a", "join"]


def test_two_launchers_in_two_folders(tmp_path: Path) -> None:
    """Two clones with one DVC cache and remote: both end well, with the same outputs."""
    project = share(tiny_pipeline(tmp_path, letters="a", seconds=1))
    other = tmp_path / "other"
    checked(tmp_path, "git", "clone", "--quiet", str(tmp_path / "origin.git"), other.name)
    for folder in (project, other):
        checked(folder, "dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
    with started(project) as first:
        said = checked(other, *COMMAND)
        _, first_said = first.communicate()
    assert first.returncode == 0, first_said
    locks = [yaml.safe_load((folder / "dvc.lock").read_text()) for folder in (project, other)]
    assert locks[0] == locks[1]
    assert "Data and pipelines are up to date." in said
    assert all(ran(project).count(stage) <= 2 for stage in ran(project))


def test_a_remote_that_is_away_fails_only_what_needs_it(tmp_path: Path) -> None:
    """In one folder what is here goes on; where an input must be pulled, its log says why."""
    project = share(tiny_pipeline(tmp_path, letters="a"))
    with remote_away(project):
        checked(project, *COMMAND)
    checked(project, "dvc", "push")
    checked(project, "git", "clean", "--quiet", "--force", "-dx", "--exclude=dvc.lock")
    edit_yaml(project / "params.yaml", {"letters": ["a", "b"]})
    with remote_away(project):
        result = run(project, *COMMAND)
        assert result.returncode == 1
        assert f"FAILED: part@b (log: {project / LOGS / 'part@b.log'})" in result.stderr
        assert "failed to reproduce" in (project / LOGS / "part@b.log").read_text()
    checked(project, *COMMAND)
    assert ran(project)[:4] == ["code", "part@a", "twice@a", "join"]
    assert ran(project)[4:] == ["part@b", "twice@b"]
