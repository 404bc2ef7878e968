"""`python -m fisor.cluster slurm` on a real Slurm, which tests/slurm/start.sh starts here."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from paused_training import GOING_ON, go, made, paused_training, reached
from project import ROOT, checked, run
from tiny_pipeline import (
    FAILING,
    RAN,
    assert_nothing_false_was_pushed,
    ran,
    remote_away,
    share,
    tiny_pipeline,
)

pytest.importorskip("submitit", reason="needs submitit: pip install fisor[slurm]")
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "sbatch"))) or os.getuid() != 0,
        reason="needs Debian's slurmctld, slurmd, slurm-client and munge, and root to start them",
    ),
]
COMMAND = (sys.executable, "-m", "fisor.cluster", "slurm")
LOGS = ".dvc/tmp/cluster/logs"


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster of this machine, said to have two cores; clones lie in a folder of the test's."""
    folder = tmp_path_factory.mktemp("slurm")
    with pytest.MonkeyPatch.context() as patch:
        try:
            # To a file: the daemons keep standard output open.
            with (folder / "started").open("w") as printed:
                start = (str(ROOT / "tests/slurm/start.sh"), str(folder), "2")
                subprocess.run(start, check=True, stdout=printed, timeout=120)
            patch.setenv("SLURM_CONF", (folder / "started").read_text().strip())
            patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
            patch.setenv("PYTHONPATH", str(ROOT))  # the tiny project has no `fisor` of its own
            yield
        finally:
            subprocess.run((str(ROOT / "tests/slurm/stop.sh"), str(folder)), check=True)


def test_jobs_do_what_one_machine_does(tmp_path: Path) -> None:
    """dvc.lock and outputs of `dvc repro`, each command run once, ready ones as an array."""
    plain = tiny_pipeline(tmp_path)
    checked(plain, "dvc", "repro")
    expected = yaml.safe_load((plain / "dvc.lock").read_text())
    joined = (plain / "joined.txt").read_bytes()
    plain.rename(tmp_path / "plain")
    (tmp_path / RAN).unlink()

    project = share(tiny_pipeline(tmp_path))
    said = checked(project, *COMMAND)
    assert yaml.safe_load((project / "dvc.lock").read_text()) == expected
    assert (project / "joined.txt").read_bytes() == joined
    assert sorted(ran(project)) == ["code", "join", "part@a", "part@b", "twice@a", "twice@b"]
    assert re.search(r"part@a: on job \d+_0 RUNNING \S+", said)
    assert "Running stage 'part@a'" in (project / LOGS / "part@a.log").read_text()
    assert "everything is up to date (6 stages)" in checked(project, *COMMAND)


def test_a_failed_stage_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    """Its log is brought to the launcher, and it is not tried again."""
    project = share(tiny_pipeline(tmp_path))
    (tmp_path / FAILING).write_text("a\n")
    result = run(project, *COMMAND)
    assert result.returncode == 1
    log = project / LOGS / "part@a.log"
    assert f"FAILED: part@a (log: {log})" in result.stderr
    assert "exited with 1" in log.read_text()
    assert sorted(ran(project)) == ["code", "part@a", "part@b", "twice@b"]


def wait_until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_for(project: Path, stage: str) -> None:
    """Until a stage's command has begun."""
    wait_until(lambda: stage in ran(project))


def queue(project: Path) -> str:
    return checked(project, "squeue", "--noheader", "--states=pending,running").strip()


def started(project: Path, *options: str) -> subprocess.Popen:
    return subprocess.Popen([*COMMAND, *options], cwd=project, stderr=subprocess.PIPE, text=True)


def test_a_stopped_launcher_cancels_its_jobs(tmp_path: Path) -> None:
    """Nothing stays in the queue; the same command goes on from there."""
    project = share(tiny_pipeline(tmp_path, letters="a", seconds=12))
    with started(project) as launcher:
        wait_for(project, "part@a")
        launcher.send_signal(signal.SIGTERM)
        _, said = launcher.communicate()
    assert launcher.returncode == 130
    assert "stopped; the same command goes on from here" in said
    wait_until(lambda: not queue(project))
    checked(project, *COMMAND)
    assert ran(project) == ["code", "part@a", "part@a", "twice@a", "join"]


def test_what_slurm_does_not_take_is_said(tmp_path: Path) -> None:
    """A partition that is not there: Slurm's own words, no traceback, nothing run."""
    project = share(tiny_pipeline(tmp_path, letters="a"))
    result = run(project, *COMMAND, "--partition", "nowhere")
    assert result.returncode == 1
    assert "error: Slurm does not take the jobs:" in result.stderr
    assert "invalid partition specified: nowhere" in result.stderr
    assert "Traceback" not in result.stderr
    assert ran(project) == []


# What happens -> whether Slurm queues the same job again.
INTERRUPTIONS = {
    "its minutes are over": True,
    "Slurm takes its machine": True,
    "it is cancelled": False,
    "its step is killed": False,
    "its training is killed": False,
}


@pytest.mark.parametrize("what", INTERRUPTIONS)
def test_an_interrupted_job_goes_on_from_its_checkpoint(tmp_path: Path, what: str) -> None:
    """From update 4 of 8, to the bytes of a training on the same core that nobody interrupted.

    The job that Slurm queues again is waited for; one that is gone is submitted again. Slurm tells
    a job 90 s before that its minutes are over, and looks every 30 s.
    """
    project = share(paused_training(tmp_path / "interrupted"))
    with started(project, "--minutes", "3") as launcher:
        wait_until(reached(project).exists)
        go(project).touch()
        (job,) = checked(project, "squeue", "--noheader", "--format=%i").split()
        if what == "Slurm takes its machine":
            checked(project, "scontrol", "requeue", job)
        elif what == "it is cancelled":
            checked(project, "scancel", job)
        elif what == "its step is killed":
            checked(project, "scancel", "--signal=KILL", job)
        elif what == "its training is killed":
            os.kill(int(reached(project).read_text()), signal.SIGKILL)
        _, said = launcher.communicate()
    assert launcher.returncode == 0, said
    places = re.findall(r"train: on job (\d+) (\w+)", said)
    if INTERRUPTIONS[what]:
        assert "its worker was lost" not in said
        assert {number for number, _ in places} == {job}
        states = [state for _, state in places if state in ("RUNNING", "PENDING")]
        assert states[-3:] == ["RUNNING", "PENDING", "RUNNING"]
    else:
        assert said.count("its worker was lost; once more") == 1
        assert len({number for number, _ in places}) == 2
    assert GOING_ON in (project / LOGS / "train.log").read_text()

    undisturbed = paused_training(tmp_path / "undisturbed")
    go(undisturbed).touch()
    core = str(min(os.sched_getaffinity(0)))
    assert GOING_ON not in checked(undisturbed, "taskset", "--cpu-list", core, "dvc", "repro")
    assert made(project) == made(undisturbed)
    assert_nothing_false_was_pushed(project)


@pytest.mark.parametrize("jobs", ["run", "have ended", "are of another commit"])
def test_a_launcher_that_was_killed_goes_on_with_its_jobs(tmp_path: Path, jobs: str) -> None:
    """The next one in its folder waits for them or takes their results: nothing runs twice.

    Jobs of another commit are cancelled.
    """
    project = share(tiny_pipeline(tmp_path, seconds=12))
    with started(project) as launcher:
        wait_until(lambda: {"part@a", "part@b"} <= set(ran(project)))
        os.kill(launcher.pid, signal.SIGKILL)
    assert queue(project)
    if jobs == "have ended":
        wait_until(lambda: not queue(project))
    if jobs == "are of another commit":
        (project / "source.txt").write_text("another\n")
        checked(project, "git", "commit", "--quiet", "--message", "Another source", "source.txt")
        checked(project, "git", "push", "--quiet")
    before = len(ran(project))
    said = checked(project, *COMMAND)
    if jobs == "are of another commit":
        errors = (project / ".dvc/tmp/cluster/slurm").glob("*.err")
        assert sum("CANCELLED" in path.read_text() for path in errors) == 2
        assert "another" in (project / "joined.txt").read_text()
        assert len(ran(project)[before:]) == 6
        remote = (tmp_path / "remote/files/md5").glob("*/*")
        assert not {b"source\na\n", b"source\nb\n"} & {path.read_bytes() for path in remote}
    else:
        assert sorted(ran(project)) == ["code", "join", "part@a", "part@b", "twice@a", "twice@b"]
        assert ("part@a: on job" in said) == (jobs == "run")
        assert_nothing_false_was_pushed(project)
    assert not queue(project)


def test_two_launchers_in_two_folders(tmp_path: Path) -> None:
    """Both end well with the same outputs; an item may have run for each of them."""
    project = share(tiny_pipeline(tmp_path, seconds=1))
    other = tmp_path / "other"
    checked(tmp_path, "git", "clone", "--quiet", str(tmp_path / "origin.git"), other.name)
    with started(project) as first:
        said = checked(other, *COMMAND)
        _, first_said = first.communicate()
    assert first.returncode == 0, first_said
    assert not {*re.findall(r"on job (\d+)", said)} & {*re.findall(r"on job (\d+)", first_said)}
    locks = [yaml.safe_load((folder / "dvc.lock").read_text()) for folder in (project, other)]
    assert locks[0] == locks[1]
    assert (project / "joined.txt").read_bytes() == (other / "joined.txt").read_bytes()
    assert all(ran(project).count(stage) <= 2 for stage in ran(project))
    assert_nothing_false_was_pushed(project)


def test_the_remote_goes_away_for_a_while(tmp_path: Path) -> None:
    """Jobs push when it is there again, and nothing runs twice."""
    project = share(tiny_pipeline(tmp_path, seconds=3))
    with started(project) as launcher:
        wait_until(lambda: {"part@a", "part@b"} <= set(ran(project)))
        with remote_away(project):
            time.sleep(12)
        _, said = launcher.communicate()
    assert launcher.returncode == 0, said
    logs = [(project / LOGS / f"part@{letter}.log").read_text() for letter in "ab"]
    assert any("again in 2 s" in log for log in logs)
    assert sorted(ran(project)) == ["code", "join", "part@a", "part@b", "twice@a", "twice@b"]
    assert_nothing_false_was_pushed(project)
