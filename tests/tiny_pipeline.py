"""A pipeline of shell commands: `code`, then `part` and `twice` for each letter, then `join`.

Each command appends its stage to the file `RAN` first, so that a test sees what ran and in which
order; `part` fails for the letters in the file `FAILING`.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from project import checked, commit, make_repository

RAN, FAILING = "ran.txt", "failing.txt"  # in the folder around the project


def tiny_pipeline(folder: Path, letters: str = "ab", seconds: float = 0) -> Path:
    """A committed project whose pipeline has not run.

    Args:
        folder: where to make it; RAN and FAILING lie here, too.
        letters: the items of the matrix.
        seconds: how long `part` takes.
    """
    project = folder / "project"
    project.mkdir()
    ran, failing = folder / RAN, folder / FAILING
    failing.touch()
    item = "${item.letter}"
    stages = {
        "code": {
            "cmd": f"echo code >> {ran}; tr -d ' ' < source.txt > code.txt",
            "deps": ["source.txt"],
            "outs": ["code.txt"],
        },
        "part": {
            "matrix": {"letter": "${letters}"},
            "cmd": (
                f"echo part@{item} >> {ran}; ! grep {item} {failing} || exit 1; sleep {seconds}; "
                f"cat code.txt > part-{item}.txt; echo {item} >> part-{item}.txt"
            ),
            "deps": ["code.txt"],
            "outs": [f"part-{item}.txt"],
        },
        "twice": {
            "matrix": {"letter": "${letters}"},
            "cmd": f"echo twice@{item} >> {ran}; cat part-{item}.txt part-{item}.txt > t-{item}",
            "deps": [f"part-{item}.txt"],
            "outs": [f"t-{item}"],
        },
        "join": {
            "cmd": f"echo join >> {ran}; cat t-* > joined.txt",
            "deps": [f"t-{letter}" for letter in letters],
            "outs": [{"joined.txt": {"cache": False}}],
        },
    }
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    (project / "params.yaml").write_text(yaml.safe_dump({"letters": list(letters)}))
    (project / "source.txt").write_text("source\n")
    make_repository(project)
    checked(project, "dvc", "config", "core.autostage", "true")
    commit(project, "A pipeline")
    return project


def ran(project: Path) -> list[str]:
    """The stages whose commands ran so far, in that order."""
    path = project.parent / RAN
    return path.read_text().split() if path.exists() else []


def share(project: Path) -> Path:
    """Push a project to a Git repository and give it a DVC remote, both in the folder around it."""
    origin, remote = project.parent / "origin.git", project.parent / "remote"
    checked(
        project.parent, "git", "init", "--quiet", "--bare", "--initial-branch=main", origin.name
    )
    remote.mkdir()
    checked(project, "dvc", "remote", "add", "--default", "shared", str(remote))
    checked(project, "git", "remote", "add", "origin", str(origin))
    checked(project, "git", "commit", "--quiet", "--all", "--message", "A remote")
    checked(project, "git", "push", "--quiet", "--set-upstream", "origin", "main")
    return project


def assert_nothing_false_was_pushed(project: Path) -> None:
    """The DVC remote has what dvc.lock names, each file with the contents of its name; no more."""
    there = {
        path.parent.name + path.name: path.read_bytes()
        for path in (project.parent / "remote/files/md5").glob("*/*")
    }
    for name, content in there.items():
        assert hashlib.md5(content).hexdigest() == name.removesuffix(".dir")
    entries = yaml.safe_load((project / "dvc.lock").read_text())["stages"].values()
    named = {out["md5"] for entry in entries for out in entry["outs"]}
    inside = (json.loads(there[name]) for name in named if name.endswith(".dir"))
    named |= {file["md5"] for files in inside for file in files}
    assert there.keys() <= named


@contextmanager
def remote_away(project: Path) -> Iterator[None]:
    """For this block, the DVC remote cannot be reached: in its place is a file, even for root."""
    remote, elsewhere = project.parent / "remote", project.parent / "elsewhere"
    remote.rename(elsewhere)
    remote.touch()
    yield
    remote.unlink()
    elsewhere.rename(remote)
