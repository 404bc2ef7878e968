"""What `fisor.cluster` refuses before anything starts, where workers have clones of their own."""

import importlib.util
import shutil
from pathlib import Path

import pytest
from project import checked
from tiny_pipeline import share, tiny_pipeline

from fisor.cluster import checks
from fisor.cluster.pipeline import Item
from fisor.cluster.workplace import Source
from fisor.errors import InputError

ITEMS = {"join": Item("join", {}, True, False, False, ("joined.txt", "figures"))}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pushed project with a DVC remote; to be copied."""
    return share(tiny_pipeline(tmp_path_factory.mktemp("shared")))


@pytest.fixture
def project(shared: Path, tmp_path: Path) -> Path:
    return shutil.copytree(shared, tmp_path / "project")


def commit(project: Path, config: str) -> None:
    (project / ".dvc/config").write_text(config)
    checked(project, "git", "commit", "--quiet", "--all", "--message", "Another remote")


def test_a_pushed_commit_and_a_remote_are_enough(project: Path, shared: Path) -> None:
    """Workers clone the commit from where it was pushed to; what DVC writes may differ from it."""
    checks.require_shared_remote(project)
    head = checked(project, "git", "rev-parse", "HEAD").strip()
    source = Source(str(shared.parent / "origin.git"), head)
    assert checks.pushed_source(project, ITEMS) == source
    (project / "dvc.lock").write_text("schema: '2.0'\n")
    (project / "joined.txt").write_text("an output that Git tracks\n")
    (project / "figures").mkdir()
    (project / "figures/one.png").write_text("another one\n")
    assert checks.pushed_source(project, ITEMS) == source


def test_a_path_to_the_repository_is_made_absolute(project: Path, shared: Path) -> None:
    """A worker's folder is another one."""
    shutil.copytree(shared.parent / "origin.git", project.parent / "near.git")
    checked(project, "git", "remote", "set-url", "origin", "../near.git")
    assert checks.pushed_source(project, ITEMS).address == str(project.parent / "near.git")


@pytest.mark.parametrize("name", ["source.txt", "a new file"])
def test_a_file_that_differs_from_the_commit_is_named(project: Path, name: str) -> None:
    """A worker would run without it."""
    (project / name).write_text("changed\n")
    with pytest.raises(InputError, match=f"differ from it: {name}: commit and push"):
        checks.pushed_source(project, ITEMS)


def test_a_commit_that_was_not_pushed_is_refused(project: Path) -> None:
    """A worker could not fetch it."""
    checked(project, "git", "commit", "--quiet", "--allow-empty", "--message", "Here alone")
    with pytest.raises(InputError, match="which no Git remote has: push it"):
        checks.pushed_source(project, ITEMS)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "there is no default DVC remote"),
        (
            "[core]\n    remote = web\n['remote \"web\"']\n    url = https://example.org/data\n",
            "is HTTP, which DVC's run cache cannot use",
        ),
        (
            "[core]\n    remote = near\n['remote \"near\"']\n    url = ../../remote\n",
            "at ../../remote, relative to this folder",
        ),
    ],
)
def test_a_remote_that_clones_cannot_use_is_refused(
    project: Path, config: str, message: str
) -> None:
    """None, one without a run cache, one that is elsewhere for each clone."""
    commit(project, config)
    with pytest.raises(InputError, match=message):
        checks.require_shared_remote(project)


def test_a_remote_of_this_folder_alone_is_refused(project: Path) -> None:
    """.dvc/config.local is not committed, so clones do not have it."""
    config = (project / ".dvc/config").read_text()
    commit(project, "")
    (project / ".dvc/config.local").write_text(config)
    with pytest.raises(InputError, match=r"is in \.dvc/config\.local or not committed"):
        checks.require_shared_remote(project)


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock with hashes, or the extra."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"requirements-ray\.lock` or `pip install 'fisor\[ray\]'`"
    ):
        checks.require_extra("ray", "ray")
