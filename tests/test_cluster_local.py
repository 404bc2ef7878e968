"""`python -m fisor.cluster local` on a pipeline of shell commands: real DVC, real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from project import ROOT, checked, run
from tiny_pipeline import FAILING, ran, tiny_pipeline

COMMAND = (sys.executable, "-m", "fisor.cluster", "local")
LOGS = ".dvc/tmp/cluster/logs"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny project has no `fisor` of its own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.slow
def test_everything_runs_once_and_then_is_up_to_date(tmp_path: Path) -> None:
    """The outputs and dvc.lock of `dvc repro`; a change of a blank reruns the first stage alone."""
    plain = tiny_pipeline(tmp_path)
    checked(plain, "dvc", "repro")
    expected = yaml.safe_load((plain / "dvc.lock").read_text())
    joined = (plain / "joined.txt").read_bytes()
    plain.rename(tmp_path / "plain")
    (tmp_path / "ran.txt").unlink()

    project = tiny_pipeline(tmp_path)
    said = checked(project, *COMMAND, "--workers", "2")
    order = ran(project)
    assert sorted(order) == ["code", "join", "part@a", "part@b", "twice@a", "twice@b"]
    assert order[0] == "code"
    assert order[-1] == "join"
    assert "twice@b: on worker" in said
    assert yaml.safe_load((project / "dvc.lock").read_text()) == expected
    assert (project / "joined.txt").read_bytes() == joined
    assert "Running stage 'part@a'" in (project / LOGS / "part@a.log").read_text()
    assert "Data and pipelines are up to date." in said  # of the last `dvc repro`

    assert "everything is up to date (6 stages)" in checked(project, *COMMAND)
    (project / "source.txt").write_text("so urce\n")
    said = checked(project, *COMMAND)
    assert ran(project)[6:] == ["code"]
    assert "part@a: done (up to date)" in said


def test_a_failed_stage_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    """Exit status 1, the stage and its log; repaired, only what is missing runs."""
    project = tiny_pipeline(tmp_path)
    (tmp_path / FAILING).write_text("a\n")
    result = run(project, *COMMAND, "--workers", "2")
    assert result.returncode == 1
    log = project / LOGS / "part@a.log"
    assert f"FAILED: part@a (log: {log})" in result.stderr
    assert "exited with 1" in log.read_text()
    assert "not run, since they depend on these: twice@a, join" in result.stderr
    assert set(ran(project)) == {"code", "part@a", "part@b", "twice@b"}
    assert (project / "t-b").exists()

    (tmp_path / FAILING).write_text("")
    before = len(ran(project))
    checked(project, *COMMAND, "--workers", "2")
    assert sorted(ran(project)[before:]) == ["join", "part@a", "twice@a"]


def wait_for(project: Path, stage: str) -> None:
    """Until a stage's command has begun."""
    deadline = time.monotonic() + 60
    while stage not in ran(project):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_launcher_that_was_killed_goes_on(tmp_path: Path, number: int) -> None:
    """Killed, it leaves its stages running, and the next one waits for them: nothing runs twice.

    Terminated, it stops them: they run again, and only they.
    """
    project = tiny_pipeline(tmp_path, seconds=8)  # longer than a busy machine starts both
    first = subprocess.Popen([*COMMAND, "--workers", "2"], cwd=project, stderr=subprocess.PIPE)
    wait_for(project, "part@b")
    os.kill(first.pid, number)
    first.communicate()
    said = checked(project, *COMMAND, "--workers", "2")
    times = {stage: ran(project).count(stage) for stage in ran(project)}
    if number == signal.SIGKILL:
        assert "another launcher, or stages that one has left running" in said
        assert set(times.values()) == {1}
    else:
        assert times.pop("part@a") == times.pop("part@b") == 2
        assert set(times.values()) == {1}


@pytest.mark.slow
def test_a_worker_that_was_killed_is_replaced(tmp_path: Path) -> None:
    """Its process and what that started are gone; the item runs again."""
    project = tiny_pipeline(tmp_path, letters="a", seconds=3)
    with subprocess.Popen(COMMAND, cwd=project, stderr=subprocess.PIPE, text=True) as first:
        wait_for(project, "part@a")
        found = subprocess.run(
            ["pgrep", "--parent", str(first.pid)], text=True, capture_output=True, check=True
        )
        (worker,) = map(int, found.stdout.split())
        os.kill(worker, signal.SIGKILL)
        _, said = first.communicate()
    assert first.returncode == 0, said
    assert "part@a: waiting after" in said
    assert ran(project) == ["code", "part@a", "part@a", "twice@a", "join"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--workers", "0"), "--workers: must be at least 1, not 0"),
        (("--workers", "1"), "has no .dvc: run this in the project's root"),
    ],
)
def test_bad_input_ends_with_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    """Before anything is started, and without a traceback."""
    result = run(tmp_path, *COMMAND, *arguments)
    assert result.returncode
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_an_engine_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """The message names those that do."""
    result = run(tmp_path, sys.executable, "-m", "fisor.cluster", "kubernetes")
    assert result.returncode
    assert "invalid choice: 'kubernetes'" in result.stderr
    assert "local" in result.stderr


def test_a_remote_that_is_not_defined_is_refused(tmp_path: Path) -> None:
    """A default remote without an address is said by its name, before anything runs."""
    project = tiny_pipeline(tmp_path)
    (project / ".dvc/config").write_text("[core]\n    remote = elsewhere\n")
    result = run(project, *COMMAND)
    assert result.returncode == 1
    assert "`core.remote` is 'elsewhere'" in result.stderr
    assert ran(project) == []
