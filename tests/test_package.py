"""`fisor` as an installed library: what is in it, and what it takes to load a policy and act."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from project import ROOT, checked

ACT = """
import sys, jax, numpy, fisor
for method, seed in (("FISOR", 1), ("BC", 0)):
    policy = fisor.load_policy(f"{sys.argv[1]}/{method}", seed=seed)
    print(*policy.act(numpy.zeros((3, 11)), jax.random.key(0)).shape)
print(fisor.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, built from a copy of the project as `pip install .` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "fisor", folder / "fisor", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    build = "from flit_core import buildapi; print(buildapi.build_wheel('.'))"
    return folder / checked(folder, sys.executable, "-c", build).split()[-1]


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site-packages of an environment with the library and what it requires, and no more."""
    site = tmp_path_factory.mktemp("environment") / "site-packages"
    site.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    waiting, installed = (
        requirements(next(iter(metadata.distributions(path=[str(site)])))),
        set[str](),
    )
    while waiting:
        name = waiting.pop()
        if name not in installed:
            installed.add(name)
            found = metadata.distribution(name)
            for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
                if not (site / top).exists() and top != "__pycache__":
                    (site / top).symlink_to(Path(str(found.locate_file(top))))
            waiting |= requirements(found)
    assert not {"pyarrow", "polars", "dvc", "gymnasium", "pydantic", "h5py"} & installed
    return site


def requirements(distribution: metadata.Distribution) -> set[str]:
    """The names of the distributions that it requires without extras, on this interpreter."""
    wanted = [Requirement(line) for line in distribution.requires or ()]
    return {
        canonicalize_name(one.name)
        for one in wanted
        if one.marker is None or one.marker.evaluate({"extra": ""})
    }


def test_the_library_has_its_data_and_no_stages(wheel: Path) -> None:
    """Every module, the paper's tables, the mark for type checkers; not the pipeline around it."""
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {str(p.relative_to(ROOT)) for p in ROOT.glob("fisor/**/*") if p.is_file()}
    assert {name for name in names if name.startswith("fisor/")} == {
        name for name in files if "__pycache__" not in name
    }
    tables = {f"fisor/report/paper_table{number}.csv" for number in (1, 6)}
    assert {"fisor/py.typed", *tables} <= names
    assert not [name for name in names if name.startswith(("stages", "tests"))]


@pytest.fixture(scope="module")
def policies(first_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of PointRobot's policies: FISOR's, and BC's trained beside it."""
    folder = shutil.copytree(first_run, tmp_path_factory.mktemp("policies") / "project")
    made = ("--out", "data/policy/PointRobot/BC/trained", "--log", "log")
    options = ("--task", "PointRobot", "--method", "BC", *made)
    transitions = ("--transitions", "data/transitions/PointRobot.parquet")
    checked(folder, sys.executable, "-m", "stages.train_baseline", *options, *transitions)
    return folder / "data/policy/PointRobot"


def test_a_policy_acts_in_an_environment_of_its_own(
    environment: Path, policies: Path, tmp_path: Path
) -> None:
    """FISOR's and BC's, by JAX, Flax, Optax, NumPy and safetensors; from whatever folder."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", ACT, str(policies)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(environment), "HOME": str(tmp_path)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *shapes, file = done.stdout.splitlines()
    assert shapes == ["3 2", "3 2"]
    assert Path(file).is_relative_to(environment)


def test_import_works_from_any_folder(tmp_path: Path) -> None:
    """`make venv` installs the library so that it follows the working tree."""
    done = subprocess.run(
        [sys.executable, "-c", "import fisor; print(fisor.__file__)"],
        cwd=tmp_path,
        env={},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.stdout.strip() == str(ROOT / "fisor/__init__.py"), done.stderr


def test_requirements_are_open_upwards() -> None:
    """A program that uses the library chooses its own JAX; the pipeline's pins are an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert all(re.fullmatch(r"[a-z]+>=[\d.]+", asked) for asked in project["dependencies"])
