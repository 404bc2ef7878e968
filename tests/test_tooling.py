"""The Makefile, the locks and pyproject.toml agree, and fail with a sentence that helps."""

import os
import re
import shutil
import subprocess
import tomllib
from itertools import product
from pathlib import Path

import pytest
import yaml

from fisor.collect import parts

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ["requirements.lock", "requirements-cuda12.lock", "requirements-cuda13.lock"]
ENGINES = ["ray", "slurm"]  # of fisor.cluster; their locks are installed on top of one of these
ENGINE_LOCKS = [f"requirements-{engine}.lock" for engine in ENGINES]
# What a lock may hold: "name==version [; marker] \", its hashes, and comments.
ENTRY = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;]+)(?: ; [^\\]+)? \\")
HASH = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}(?: \\)?")


def read_lock(name: str) -> dict[str, tuple[str, int]]:
    """Return the version and the number of hashes of every entry.

    Raises:
        ValueError: If a line is neither an entry nor a hash nor a comment.
    """
    entries: dict[str, tuple[str, int]] = {}
    package = ""
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if entry := ENTRY.fullmatch(line):
            package = entry["name"]
            entries[package] = (entry["version"], 0)
        elif HASH.fullmatch(line):
            version, hashes = entries[package]
            entries[package] = (version, hashes + 1)
        elif not line.startswith("    #"):
            raise ValueError(f"{name}: {line!r}")
    return entries


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make on a copy of the Makefile in `folder`; PATH has neither a Python nor uv."""
    shutil.copy(ROOT / "Makefile", folder)
    tools = folder / "bin"
    tools.mkdir()
    for tool in ("cat", "cmp", "cp", "mkdir", "rm"):
        found = shutil.which(tool)
        assert found
        (tools / tool).symlink_to(found)
    # MAKEFLAGS: `make test` must not hand its own flags down.
    kept = {k: v for k, v in os.environ.items() if k not in {"CUDA", "PYTHON", "MAKEFLAGS"}}
    program = shutil.which("make")
    assert program
    return subprocess.run(
        [program, *arguments],
        cwd=folder,
        env=kept | {"PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("name", LOCKS + ENGINE_LOCKS)
def test_every_lock_entry_has_hashes(name: str) -> None:
    """Nothing unpinned or unchecked gets into .venv: each entry has a version and a hash."""
    entries = read_lock(name)
    assert len(entries) > (100 if name in LOCKS else 10)
    assert [package for package, (_, hashes) in entries.items() if not hashes] == []


@pytest.mark.parametrize("name", LOCKS + ENGINE_LOCKS)
def test_lock_names_no_address_host_or_path(name: str) -> None:
    """A lock installs from whatever index a machine has: it names no address, host or path."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = re.findall(
        r"^.*(?:://|\bfile:|\bhttps?:|@|^-|\bindex-url|find-links|\.(?:org|com|io|net)\b|[\s=]/\w).*$",
        text,
        re.MULTILINE,
    )
    assert found == []


@pytest.mark.parametrize("name", LOCKS[1:])
def test_cuda_lock_holds_the_plain_one(name: str) -> None:
    """A result on a GPU comes from the same releases: the CUDA lock only adds packages."""
    plain, cuda = read_lock("requirements.lock"), read_lock(name)
    assert {package: cuda.get(package) for package in plain} == plain
    assert all("cuda" in package or "nvidia" in package for package in cuda.keys() - plain.keys())


@pytest.mark.parametrize("name", LOCKS)
def test_pins_of_pyproject_are_in_the_lock(name: str) -> None:
    """pyproject.toml was not changed without `make lock`: its exact pins are the lock's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*extras["pipeline"], *extras["simulators"], *extras["dev"]]
    pins = {
        package.lower(): version
        for package, _, version in (requirement.partition("==") for requirement in asked)
        if version
    }
    assert {"ruff", "mypy", "jax"} <= pins.keys()
    entries = read_lock(name)
    assert {package: entries[package][0] for package in pins} == pins


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engines_lock_changes_no_package(engine: str) -> None:
    """Installed on top of the plain lock, it adds packages; the engine is pyproject.toml's."""
    plain, added = read_lock("requirements.lock"), read_lock(f"requirements-{engine}.lock")
    assert {p: added[p] for p in plain.keys() & added} == {p: plain[p] for p in plain if p in added}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (pin,) = project["optional-dependencies"][engine]
    package, _, version = pin.partition("==")
    assert added[package][0] == version
    assert package not in plain


def test_cuda_extras_want_the_same_jax() -> None:
    """The CUDA variants are of the JAX release that the CPU one has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = project["optional-dependencies"]["pipeline"]
    (pin,) = [package for package in asked if package.startswith("jax==")]
    for extra in ("cuda12", "cuda13"):
        assert project["optional-dependencies"][extra] == [pin.replace("jax", f"jax[{extra}]")]


def test_missing_interpreter_is_told_in_one_sentence(tmp_path: Path) -> None:
    """Without Python 3.11 and uv, `make venv` says what is needed and where it looked."""
    done = make(tmp_path, "venv")
    assert done.returncode
    first, *rest = done.stderr.splitlines()
    assert first.startswith("Python 3.11 is needed, but PATH has none as python3.11, ")
    assert first.endswith("give PYTHON=/path/to/python3.11.")
    assert [line for line in rest if not line.startswith("make")] == []
    assert not (tmp_path / ".venv").exists()


def test_given_interpreter_is_not_replaced_by_another(tmp_path: Path) -> None:
    """A PYTHON that is not there is an error that names it; no other Python is taken instead."""
    done = make(tmp_path, "venv", "PYTHON=/nonexistent")
    assert done.returncode
    assert "Python 3.11 is needed, but PYTHON=/nonexistent is not one" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_interpreter_is_asked_for_its_version(tmp_path: Path) -> None:
    """A program named python3.11 that is another Python is not taken."""
    liar = tmp_path / "python3.11"
    liar.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    liar.chmod(0o755)
    done = make(tmp_path, "venv", f"PYTHON={liar}")
    assert done.returncode
    assert "is not one" in done.stderr


@pytest.mark.parametrize("value", ["11", "12 13", "cpu"])
def test_unknown_cuda_fails_with_a_message(tmp_path: Path, value: str) -> None:
    """A mistyped variant does not fall back to the CPU: the message says what can be given."""
    done = make(tmp_path, "venv", f"CUDA={value}")
    assert done.returncode
    assert f"CUDA={value} is unknown: give CUDA=12 or CUDA=13" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_lock_of_stages_holds_no_other_stages() -> None:
    """An entry of a stage that dvc.yaml no longer has makes every experiment look outdated.

    DVC does not remove them by itself. Allowed are the stages of every task and method there is.
    """
    pipeline, lock, tasks, params = (
        yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
        for name in ("dvc.yaml", "dvc.lock", "tasks.yaml", "params.yaml")
    )
    items = {"task": tasks, "method": params["methods"], "policy": params["methods"]}
    items["part"] = [parts.WHOLE, *map(str, parts.LEARNERS)]
    allowed = {
        f"{stage}@{'-'.join(item)}" if item else stage
        for stage, entry in pipeline["stages"].items()
        for item in product(*(items[key] for key in entry.get("matrix", ())))
    }
    assert lock["stages"].keys() <= allowed
