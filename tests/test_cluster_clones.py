"""A worker's clone: made once, brought to the commit, its inputs checked, patient with networks."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from project import ROOT, checked
from tiny_pipeline import RAN, ran, share, tiny_pipeline

from fisor.cluster import workplace
from fisor.cluster.workplace import Clone, CommandError, KilledError, Source, Work, free_clone

# In a process of its own: it limits itself to some cores.
WORK = """
import json, sys
from fisor.cluster.workplace import Source, Work, work_in_clone
source, work = json.loads(sys.argv[1])
print(json.dumps(work_in_clone(Source(*source), Work(*work), 1)._asdict()))
"""


def work(source: Source, item: Work, cache: Path) -> dict:
    """What `work_in_clone` returns, with clones below `cache`."""
    done = subprocess.run(
        [sys.executable, "-c", WORK, json.dumps([source, item])], text=True, check=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_clone_fetches_runs_and_pushes(tmp_path: Path) -> None:
    """Two workers without a common cache: the second one has the first one's output from DVC.

    The clone is used again at another commit, where an older input is in its place.
    """
    project = share(tiny_pipeline(tmp_path, letters="a"))

    def source() -> Source:
        head = checked(project, "git", "rev-parse", "HEAD").strip()
        return Source(str(tmp_path / "origin.git"), head)

    first = work(source(), Work("code", [], ""), tmp_path / "one")
    assert "Running stage 'code'" in first["log"]
    lock = {"schema": "2.0", "stages": {"code": first["entry"]}}
    part = Work("part@a", ["code.txt"], yaml.safe_dump(lock))
    second = work(source(), part, tmp_path / "two")
    assert [dep["path"] for dep in second["entry"]["deps"]] == ["code.txt"]
    assert ran(project) == ["code", "part@a"]

    (project / "source.txt").write_text("another\n")
    checked(project, "git", "commit", "--quiet", "--all", "--message", "Another source")
    checked(project, "git", "push", "--quiet")
    third = work(source(), Work("code", [], ""), tmp_path / "one")
    lock["stages"]["code"] = third["entry"]
    fourth = work(source(), part._replace(lock=yaml.safe_dump(lock)), tmp_path / "two")
    (clone,) = (path.parent for path in (tmp_path / "two/fisor/clones").glob("*/*/.git"))
    assert (clone / "part-a.txt").read_text() == "another\na\n"
    assert fourth["entry"]["outs"] != second["entry"]["outs"]

    # Back at the first input: nothing runs, since the run cache is shared.
    lock["stages"]["code"] = first["entry"]
    again = work(source(), part._replace(lock=yaml.safe_dump(lock)), tmp_path / "three")
    assert again["entry"] == second["entry"]
    assert (tmp_path / RAN).read_text().split() == ["code", "part@a"] * 2


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
    with free_clone(tmp_path) as (first, number, lock), free_clone(tmp_path) as (second, _, _):
        assert (first, number, second) == (tmp_path / "0", 0, tmp_path / "1")
        left = subprocess.Popen(["sleep", "60"], pass_fds=[lock.fileno()])
    try:
        with free_clone(tmp_path) as (third, _, _):
            assert third == tmp_path / "1"
    finally:
        left.kill()
        left.wait()
    with free_clone(tmp_path) as (fourth, _, _):
        assert fourth == tmp_path / "0"
