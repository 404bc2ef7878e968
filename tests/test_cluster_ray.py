"""`python -m fisor.cluster ray` on a cluster of separate processes: a head and two workers.

The workers have a folder each for their clones, and share with the launcher's folder only the Git
repository and the DVC remote.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

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

ray_utils = pytest.importorskip("ray.cluster_utils", reason="needs Ray: pip install fisor[ray]")
pytestmark = [pytest.mark.cluster, pytest.mark.slow]

MEMORY_BYTES = 100 * 2**20


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Where each of the two workers keeps its clones."""
    return [tmp_path_factory.mktemp(f"worker{number}") for number in range(2)]


@pytest.fixture
def cluster(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head that runs no items, and two workers with a core each."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the tiny project has no `fisor` of its own
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    sized = {"object_store_memory": MEMORY_BYTES}
    cluster = ray_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **sized})
    try:
        for folder in folders:
            cluster.add_node(num_cpus=1, env_vars={"XDG_CACHE_HOME": str(folder)}, **sized)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def command(cluster: Any) -> tuple[str, ...]:
    return (sys.executable, "-m", "fisor.cluster", "ray", "--address", cluster.address)


def clones(folder: Path) -> list[Path]:
    return [path.parent for path in folder.glob("fisor/clones/*/*/.git")]


def test_two_workers_do_what_one_machine_does(
    cluster: Any, folders: list[Path], tmp_path: Path
) -> None:
    """dvc.lock and outputs of `dvc repro`, each command run once, in both workers' clones.

    Then everything is up to date, even in a fresh clone that has nothing but the commit.
    """
    plain = tiny_pipeline(tmp_path)
    checked(plain, "dvc", "repro")
    expected = yaml.safe_load((plain / "dvc.lock").read_text())
    joined = (plain / "joined.txt").read_bytes()
    plain.rename(tmp_path / "plain")
    (tmp_path / RAN).unlink()

    project = share(tiny_pipeline(tmp_path, seconds=2))
    said = checked(project, *command(cluster))
    # The lock's commands differ: these took two seconds.
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    outs = {name: stage["outs"] for name, stage in lock["stages"].items()}
    assert outs == {name: stage["outs"] for name, stage in expected["stages"].items()}
    assert (project / "joined.txt").read_bytes() == joined
    assert sorted(ran(project)) == ["code", "join", "part@a", "part@b", "twice@a", "twice@b"]
    assert re.search(r"part@a: on .+, process \d+", said)
    assert "Running stage 'part@a'" in (project / ".dvc/tmp/cluster/logs/part@a.log").read_text()
    assert "join: left to the last dvc repro" in said
    assert all(clones(folder) for folder in folders)
    assert "everything is up to date (6 stages)" in checked(project, *command(cluster))

    fresh = tmp_path / "fresh"
    checked(tmp_path, "git", "clone", "--quiet", str(tmp_path / "origin.git"), "fresh")
    checked(fresh, *command(cluster))
    assert sorted(ran(project))[1:] == ["join", "join", "part@a", "part@b", "twice@a", "twice@b"]
    assert (fresh / "joined.txt").read_bytes() == joined


def test_a_failed_stage_is_named_and_the_others_go_on(cluster: Any, tmp_path: Path) -> None:
    """Its log is brought to the launcher, and it is not tried again."""
    project = share(tiny_pipeline(tmp_path))
    (tmp_path / FAILING).write_text("a\n")
    result = run(project, *command(cluster))
    assert result.returncode == 1
    log = project / ".dvc/tmp/cluster/logs/part@a.log"
    assert f"FAILED: part@a (log: {log})" in result.stderr
    assert "exited with 1" in log.read_text()
    assert sorted(ran(project)) == ["code", "part@a", "part@b", "twice@b"]


def wait_until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_for(project: Path, stages: set[str]) -> None:
    """Until these stages' commands have begun."""
    wait_until(lambda: stages <= set(ran(project)))


def started(cluster: Any, project: Path) -> subprocess.Popen:
    return subprocess.Popen(command(cluster), cwd=project, stderr=subprocess.PIPE, text=True)


def test_a_machine_that_goes_away_is_replaced(cluster: Any, tmp_path: Path) -> None:
    """A worker machine is killed while it runs an item: the item runs again on the other one."""
    project = share(tiny_pipeline(tmp_path, letters="ab", seconds=8))
    with started(cluster, project) as launcher:
        wait_for(project, {"part@a", "part@b"})
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        _, said = launcher.communicate()
    assert launcher.returncode == 0, said
    assert said.count("its worker was lost; once more") == 1
    assert {stage: ran(project).count(stage) for stage in ("code", "twice@a", "twice@b")} == {
        **{"code": 1, "twice@a": 1, "twice@b": 1}
    }
    assert sorted(ran(project).count(f"part@{letter}") for letter in "ab") == [1, 2]


def test_a_launcher_that_was_killed_goes_on(cluster: Any, tmp_path: Path) -> None:
    """What had been pushed is not run again, whether or not the launcher had heard of it."""
    project = share(tiny_pipeline(tmp_path, seconds=4))
    with started(cluster, project) as launcher:
        wait_for(project, {"part@a", "part@b"})
        os.kill(launcher.pid, signal.SIGKILL)
    checked(project, *command(cluster))
    counts = {stage: ran(project).count(stage) for stage in ran(project)}
    assert counts.pop("part@a") <= 2
    assert counts.pop("part@b") <= 2
    assert set(counts.values()) == {1}


def test_the_remote_goes_away_for_a_while(cluster: Any, tmp_path: Path) -> None:
    """While items run on both machines: they push when it is there again, and nothing runs twice.

    Which items ended meanwhile is up to chance; none of them failed.
    """
    project = share(tiny_pipeline(tmp_path, seconds=3))
    with started(cluster, project) as launcher:
        wait_for(project, {"part@a", "part@b"})
        with remote_away(project):
            time.sleep(8)
        _, said = launcher.communicate()
    assert launcher.returncode == 0, said
    log = (project / ".dvc/tmp/cluster/logs/part@a.log").read_text()
    assert "again in 2 s" in log
    assert sorted(ran(project)) == ["code", "join", "part@a", "part@b", "twice@a", "twice@b"]


def test_two_launchers_in_two_folders(cluster: Any, tmp_path: Path) -> None:
    """Both end well with the same outputs; an item may have run for each of them."""
    project = share(tiny_pipeline(tmp_path, seconds=1))
    other = tmp_path / "other"
    checked(tmp_path, "git", "clone", "--quiet", str(tmp_path / "origin.git"), other.name)
    with started(cluster, project) as first:
        checked(other, *command(cluster))
        _, said = first.communicate()
    assert first.returncode == 0, said
    locks = [yaml.safe_load((folder / "dvc.lock").read_text()) for folder in (project, other)]
    assert locks[0] == locks[1]
    assert (project / "joined.txt").read_bytes() == (other / "joined.txt").read_bytes()
    assert all(ran(project).count(stage) <= 2 for stage in ran(project))


@pytest.mark.parametrize("killed", ["the training", "the worker"])
def test_a_killed_training_gives_the_same_bytes(cluster: Any, tmp_path: Path, killed: str) -> None:
    """Killed at update 4 of 8 on the only machine: the bytes of a training that nobody killed.

    If the training alone was killed, it goes on from its checkpoint. If Ray's worker was, what that
    had started may still run and use the clone: then it begins again in another one.
    """
    cluster.remove_node(cluster.list_all_nodes()[-1])
    project = share(paused_training(tmp_path / "killed"))
    with started(cluster, project) as launcher:
        wait_until(reached(project).exists)
        go(project).touch()
        training = int(reached(project).read_text())
        try:
            if killed == "the training":
                os.kill(training, signal.SIGKILL)
            else:
                os.kill(worker_of(training), signal.SIGKILL)
            _, said = launcher.communicate()
        finally:
            with suppress(ProcessLookupError):
                os.kill(training, signal.SIGKILL)
    assert launcher.returncode == 0, said
    assert said.count("its worker was lost; once more") == 1
    if killed == "the training":
        assert GOING_ON in (project / ".dvc/tmp/cluster/logs/train.log").read_text()

    undisturbed = paused_training(tmp_path / "undisturbed")
    go(undisturbed).touch()
    core = str(min(os.sched_getaffinity(0)))
    assert GOING_ON not in checked(undisturbed, "taskset", "--cpu-list", core, "dvc", "repro")
    assert made(project) == made(undisturbed)
    assert_nothing_false_was_pushed(project)


def worker_of(process: int) -> int:
    """The process of Ray's task among those that a process descends from."""
    while "ray::" not in Path(f"/proc/{process}/cmdline").read_text():
        status = Path(f"/proc/{process}/status").read_text()
        process = int(re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE).group(1))
        assert process > 1
    return process
