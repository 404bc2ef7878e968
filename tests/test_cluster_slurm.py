"""`python -m fisor.cluster slurm` on a real Slurm, which tests/slurm/start.sh starts here."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from project import ROOT, checked, run
from tiny_pipeline import FAILING, RAN, ran, share, tiny_pipeline

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
    assert "Running stage 'part@a'" in (project / ".dvc/tmp/cluster/logs/part@a.log").read_text()
    assert "everything is up to date (6 stages)" in checked(project, *COMMAND)


def test_a_failed_stage_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    """Its log is brought to the launcher, and it is not tried again."""
    project = share(tiny_pipeline(tmp_path))
    (tmp_path / FAILING).write_text("a\n")
    result = run(project, *COMMAND)
    assert result.returncode == 1
    log = project / ".dvc/tmp/cluster/logs/part@a.log"
    assert f"FAILED: part@a (log: {log})" in result.stderr
    assert "exited with 1" in log.read_text()
    assert sorted(ran(project)) == ["code", "part@a", "part@b", "twice@b"]


def wait_for(project: Path, stage: str) -> None:
    """Until a stage's command has begun."""
    deadline = time.monotonic() + 120
    while stage not in ran(project):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_cancelled_job_is_submitted_again(tmp_path: Path) -> None:
    """A job that is gone without a result is no failure of the stage."""
    project = share(tiny_pipeline(tmp_path, letters="a", seconds=12))
    with subprocess.Popen(COMMAND, cwd=project, stderr=subprocess.PIPE, text=True) as launcher:
        wait_for(project, "part@a")
        checked(project, "scancel", "--name=fisor")
        _, said = launcher.communicate()
    assert launcher.returncode == 0, said
    assert said.count("its worker was lost; once more") == 1
    assert ran(project) == ["code", "part@a", "part@a", "twice@a", "join"]


def test_a_stopped_launcher_cancels_its_jobs(tmp_path: Path) -> None:
    """Nothing stays in the queue; the same command goes on from there."""
    project = share(tiny_pipeline(tmp_path, letters="a", seconds=12))
    with subprocess.Popen(COMMAND, cwd=project, stderr=subprocess.PIPE, text=True) as launcher:
        wait_for(project, "part@a")
        launcher.send_signal(signal.SIGTERM)
        _, said = launcher.communicate()
    assert launcher.returncode == 130
    assert "stopped; the same command goes on from here" in said
    deadline = time.monotonic() + 30
    while checked(project, "squeue", "--noheader", "--states=pending,running").strip():
        assert time.monotonic() < deadline
        time.sleep(0.2)
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
