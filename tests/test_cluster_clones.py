"""A worker's clone: made once, brought to the commit, its inputs checked, patient with networks."""

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from one_worker import outcome, source_of, started, work
from project import checked
from tiny_pipeline import RAN, ran, remote_away, share, tiny_pipeline

from fisor.cluster import workplace
from fisor.cluster.clones import finish, free_clone
from fisor.cluster.workplace import Clone, CommandError, KilledError, Work


@pytest.mark.slow
def test_a_clone_fetches_runs_and_pushes(tmp_path: Path) -> None:
    """Two workers without a common cache: the second one has the first one's output from DVC.

    The clones are used again at another commit: one where a Git was killed, and one where an older
    input is in its place.
    """
    project = share(tiny_pipeline(tmp_path, letters="a"))
    first = work(source_of(project), Work("code", [], ""), tmp_path / "one")
    assert "Running stage 'code'" in first["log"]
    lock = {"schema": "2.0", "stages": {"code": first["entry"]}}
    part = Work("part@a", ["code.txt"], yaml.safe_dump(lock))
    second = work(source_of(project), part, tmp_path / "two")
    assert [dep["path"] for dep in second["entry"]["deps"]] == ["code.txt"]
    assert ran(project) == ["code", "part@a"]

    (project / "source.txt").write_text("another\n")
    checked(project, "git", "commit", "--quiet", "--all", "--message", "Another source")
    checked(project, "git", "push", "--quiet")
    (killed,) = (tmp_path / "one/fisor/clones").glob("*/*/.git")
    (killed / "index.lock").touch()
    third = work(source_of(project), Work("code", [], ""), tmp_path / "one")
    lock["stages"]["code"] = third["entry"]
    fourth = work(source_of(project), part._replace(lock=yaml.safe_dump(lock)), tmp_path / "two")
    (clone,) = (path.parent for path in (tmp_path / "two/fisor/clones").glob("*/*/.git"))
    assert (clone / "part-a.txt").read_text() == "another\na\n"
    assert fourth["entry"]["outs"] != second["entry"]["outs"]

    # Back at the first input: nothing runs, since the run cache is shared.
    lock["stages"]["code"] = first["entry"]
    again = work(source_of(project), part._replace(lock=yaml.safe_dump(lock)), tmp_path / "three")
    assert again["entry"] == second["entry"]
    assert (tmp_path / RAN).read_text().split() == ["code", "part@a"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("away_for", ["the input", "the output"])
def test_the_remote_goes_away_for_a_while(tmp_path: Path, away_for: str) -> None:
    """When an input is pulled, or after the stage ran: tried again, and nothing runs twice.

    What was made is in the remote at the end: another worker has it from there.
    """
    project = share(tiny_pipeline(tmp_path, letters="a", seconds=2))
    source = source_of(project)
    first = work(source, Work("code", [], ""), tmp_path / "one")
    lock = yaml.safe_dump({"schema": "2.0", "stages": {"code": first["entry"]}})
    item = Work("part@a", ["code.txt"], lock)

    def wait_until(there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not there():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def tries_again() -> bool:
        logs = (tmp_path / "two/fisor/clones").glob("*/*.log")
        return any("again in 2 s" in log.read_text() for log in logs)

    def begun() -> bool:
        return "part@a" in ran(project)

    if away_for == "the input":
        with remote_away(project):
            process = started(source, item, tmp_path / "two")
            wait_until(tries_again)
            assert not begun()
    else:
        process = started(source, item, tmp_path / "two")
        wait_until(begun)
        with remote_away(project):
            wait_until(tries_again)
    second = outcome(process)
    assert second["log"].count("again in 2 s") == 1
    third = work(source, item, tmp_path / "three")
    assert third["entry"] == second["entry"]
    assert ran(project) == ["code", "part@a"]


@pytest.mark.parametrize("status", ["-9", "137"])
def test_a_stage_that_was_killed_did_not_fail(tmp_path: Path, status: str) -> None:
    """DVC's own words for a command that a signal has ended, with and without a shell around it."""
    says = f"ERROR: failed to reproduce 'x': failed to run: train, exited with {status}"
    with tempfile.TemporaryFile("w+") as printed:
        clone = Clone(tmp_path, printed, printed.fileno())
        with pytest.raises(KilledError):
            clone.retried("sh", "-c", f'echo "{says}"; exit 255')
        with pytest.raises(CommandError) as failed:
            clone.retried("sh", "-c", 'echo "failed to run: train, exited with 1"; exit 255')
        assert not isinstance(failed.value, KilledError)


def test_what_ran_with_another_input_is_not_pushed(tmp_path: Path) -> None:
    """An input that is not what the launcher's dvc.lock names fails the item."""
    with tempfile.TemporaryFile("w+") as printed:
        clone = Clone(tmp_path, printed, printed.fileno())
        lock = {"stages": {"code": {"outs": [{"path": "code.txt", "md5": "a"}]}}}
        item = Work("part", ["code.txt"], yaml.safe_dump(lock))
        clone.refuse_other_inputs(item, {"deps": [{"path": "code.txt", "md5": "a"}]})
        with pytest.raises(CommandError, match=r"code\.txt is not as"):
            clone.refuse_other_inputs(item, {"deps": [{"path": "code.txt", "md5": "b"}]})


@pytest.mark.parametrize(
    ("works_after", "says", "tries"),
    [(3, "no route", 3), (9, "no route", 4), (9, "failed to run: x", 1)],
)
def test_an_unreachable_remote_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works_after: int, says: str, tries: int
) -> None:
    """As often as there are waits, and once more; but a stage that failed is not run again."""
    waits: list[float] = []
    monkeypatch.setattr(workplace, "RETRY_SECONDS", (1, 2, 3))
    monkeypatch.setattr(workplace.time, "sleep", waits.append)
    counted = tmp_path / "tries"
    script = f"echo x >> {counted}; echo {says}; test $(wc -l < {counted}) -ge {works_after}"
    with tempfile.TemporaryFile("w+") as printed:
        clone = Clone(tmp_path, printed, printed.fileno())
        if works_after <= tries:
            clone.retried("sh", "-c", script)
        else:
            with pytest.raises(CommandError):
                clone.retried("sh", "-c", script)
    assert counted.read_text().count("x") == tries
    assert waits == [1, 2, 3][: tries - 1]


def test_a_command_that_was_killed_is_not_tried_again(tmp_path: Path) -> None:
    """Slurm kills a cancelled job's commands some time before the job itself."""
    with tempfile.TemporaryFile("w+") as printed:
        with pytest.raises(KilledError):
            Clone(tmp_path, printed, printed.fileno()).retried("sh", "-c", "kill -TERM $$")
        printed.seek(0)
        assert "again in" not in printed.read()


def test_each_item_has_a_clone_of_its_own(tmp_path: Path) -> None:
    """The first that is free; it stays taken as long as a process has its lock open."""
    with (
        free_clone(tmp_path, "abc", "a") as (first, number, lock),
        free_clone(tmp_path, "abc", "b") as (second, _, other),
    ):
        assert (first, number, second) == (tmp_path / "0", 0, tmp_path / "1")
        left = subprocess.Popen(["sleep", "60"], pass_fds=[lock.fileno()])
        finish(lock)
        finish(other)
    try:
        with free_clone(tmp_path, "abc", "c") as (third, _, lock):
            assert third == tmp_path / "1"
            finish(lock)
    finally:
        left.kill()
        left.wait()
    with free_clone(tmp_path, "abc", "d") as (fourth, _, _):
        assert fourth == tmp_path / "0"


def test_a_clone_is_kept_for_the_item_that_was_killed_in_it(tmp_path: Path) -> None:
    """Its checkpoint is there: another item that comes first has a clone of its own.

    Once the item has ended, and at another commit, anything may run there.
    """
    with free_clone(tmp_path, "abc", "a"), free_clone(tmp_path, "abc", "b"):
        pass  # both are killed: `finish` is not called
    with (
        free_clone(tmp_path, "abc", "c") as (other, _, _),
        free_clone(tmp_path, "abc", "b") as (again, _, lock),
    ):
        assert (other, again) == (tmp_path / "2", tmp_path / "1")
        finish(lock)
    with free_clone(tmp_path, "abc", "d") as (fourth, _, _):
        assert fourth == tmp_path / "1"
    with free_clone(tmp_path, "def", "b") as (fifth, _, _):
        assert fifth == tmp_path / "0"
