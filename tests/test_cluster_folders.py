"""`fisor.cluster` where a dependency is a folder around the outputs of other items."""

import sys
import tempfile
import warnings
from pathlib import Path

import pytest
import yaml
from one_worker import source_of, work
from project import ROOT, checked, edit_yaml
from tiny_pipeline import ran, share, tiny_pipeline

from fisor.cluster.clones import clones_of
from fisor.cluster.in_clones import work_of
from fisor.cluster.pipeline import Item, read_items
from fisor.cluster.workplace import Clone, CommandError

COMMAND = (sys.executable, "-m", "fisor.cluster", "local", "--workers", "1")


def gathering(folder: Path) -> Path:
    """The tiny pipeline whose `join`, which DVC caches, depends on the folder of all `twice`."""
    project = tiny_pipeline(folder)
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    twice, join = stages["twice"], stages["join"]
    twice["cmd"] = f"mkdir -p twice; {twice['cmd'].replace('> t-', '> twice/')}"
    twice["outs"] = ["twice/${item.letter}"]
    join["cmd"] = join["cmd"].replace("t-*", "twice/a twice/b")
    join |= {"deps": ["twice"], "outs": ["joined.txt"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    (project / ".gitignore").write_text("/twice/\n")
    checked(project, "git", "add", "--all")
    checked(project, "git", "commit", "--quiet", "--message", "A folder")
    return project


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a project, run, committed and pushed."""
    project = share(gathering(tmp_path_factory.mktemp("folders")))
    checked(project, "dvc", "repro")
    checked(project, "dvc", "push", "--run-cache")
    checked(project, "git", "add", "--all")
    checked(project, "git", "commit", "--quiet", "--message", "All has run")
    checked(project, "git", "push", "--quiet")
    return project


def items_of(project: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Item]:
    """As the launcher has them, which runs in the project's folder."""
    monkeypatch.chdir(project)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # DVC's own
        return read_items(project, remote=True)


def test_the_outputs_in_the_folder_are_what_the_item_needs(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another clone can run it, since it can have them; the other items have no folders."""
    items = items_of(done, monkeypatch)
    join = items.pop("join")
    assert join.needs == {"twice@a": ["twice/a"], "twice@b": ["twice/b"]}
    assert join.folders == ["twice"]
    assert join.travels
    assert not any(item.folders for item in items.values())


def test_the_folder_is_checked_as_dvc_computes_it(
    done: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The MD5 that DVC's own run has in dvc.lock is accepted, and no other."""
    item = work_of(done, items_of(done, monkeypatch), "join")
    entry = yaml.safe_load(item.lock)["stages"]["join"]
    (dep,) = entry["deps"]
    assert dep["nfiles"] == 2
    with tempfile.TemporaryFile("w+") as printed:
        clone = Clone(tmp_path, printed, printed.fileno())
        clone.refuse_other_inputs(item, entry)
        with pytest.raises(CommandError, match="twice is not as"):
            clone.refuse_other_inputs(item, {"deps": [dep | {"md5": "0" * 32 + ".dir"}]})


@pytest.mark.slow
def test_a_clone_has_nothing_else_in_the_folder(
    done: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What an item of another commit has left there is removed; the entry is `dvc repro`'s."""
    item = work_of(done, items_of(done, monkeypatch), "join")
    source = source_of(done)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    left = clones_of(source.address) / "0/twice"
    left.mkdir(parents=True)
    (left / "c").write_text("of another commit\n")
    found = work(source, item, tmp_path)
    assert found["entry"] == yaml.safe_load(item.lock)["stages"]["join"], found["log"]
    assert sorted(path.name for path in left.iterdir()) == ["a", "b"]


@pytest.mark.slow
def test_what_is_missing_in_the_folder_is_pulled(
    done: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a fresh clone with one more item of the matrix, `local` runs that item and `join`."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    checked(tmp_path, "git", "clone", "--quiet", str(done.parent / "origin.git"), "fresh")
    fresh = tmp_path / "fresh"
    edit_yaml(fresh / "params.yaml", {"letters": ["a", "b", "c"]})
    before = len(ran(done))
    checked(fresh, *COMMAND)
    assert ran(done)[before:] == ["part@c", "twice@c", "join"]
    assert (fresh / "joined.txt").read_bytes() == (done / "joined.txt").read_bytes()
