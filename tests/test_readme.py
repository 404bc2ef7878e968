"""README's commands work as typed, and what it says of itself is so."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import ROOT, SMALL_TASK, checked, edit_yaml, run, write_dsrl_file

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = [
    line[2:].split("#")[0].strip()
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
INLINE = re.findall(r"`((?:dvc|make) [^`]+)`", README)


@pytest.fixture(scope="module")
def pipeline(first_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project in small, run and committed; DSRL's file of BallRun is at hand."""
    folder = shutil.copytree(first_run, tmp_path_factory.mktemp("readme") / "project")
    overrides = {**SMALL_TASK["overrides"], "evaluation": {"episodes": 2}}
    edit_yaml(folder / "tasks.yaml", {"BallRun": {"horizon_steps": 20, "overrides": overrides}})
    checked(folder, "git", "commit", "--quiet", "--all", "--message", "BallRun in small")
    at_hand = tmp_path_factory.mktemp("dsrl")
    write_dsrl_file(at_hand, "BallRun", 7, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSRL_DATASET_DIR", str(at_hand))
        yield folder


def test_the_two_commands_come_first() -> None:
    """README leads with one command that runs everything and one that runs the tests."""
    assert CONSOLE[:2] == ["make repro", "make test"]


@pytest.mark.parametrize("command", sorted({c for c in CONSOLE + INLINE if c.startswith("make ")}))
def test_make_commands_exist(command: str) -> None:
    """Every `make` command of README names targets of the Makefile (`make -n` runs nothing)."""
    result = run(ROOT, "make", "-n", *command.split()[1:])
    assert result.returncode == 0, result.stderr


def test_dvc_commands_and_python_run(pipeline: Path) -> None:
    """Every dvc command of README, in its order, and its Python, on the project in small."""
    for command in [c for c in CONSOLE + INLINE if c.startswith("dvc ")]:
        result = subprocess.run(
            ["bash", "-c", f'PATH="{Path(sys.executable).parent}:$PATH" {command}'],
            cwd=pipeline,
            text=True,
            capture_output=True,
            check=False,
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    metrics = checked(pipeline, "dvc", "metrics", "show")
    assert "intersection_over_union" in metrics
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    shapes = "\nassert actions.shape == (4, 2)\nassert values.shape == (4,)\n"
    checked(pipeline, sys.executable, "-c", code + shapes)


def test_figures_of_the_example_are_the_committed_ones() -> None:
    """The first figure of each line of README's `dvc metrics diff` stands in metrics.json."""
    metrics = json.loads((ROOT / "reports/metrics.json").read_text(encoding="utf-8"))
    lines = re.findall(r"^(PointRobot\.\S+) +(\S+) +(\S+) +(\S+)$", README, re.MULTILINE)
    assert len(lines) >= 5
    for name, before, after, change in lines:
        committed = metrics
        for key in name.split("."):
            committed = committed[key]
        assert committed == pytest.approx(float(before), abs=5e-5), name
        assert float(after) - float(before) == pytest.approx(float(change), abs=2e-4), name


def test_links_and_pictures_are_there() -> None:
    """Every relative link of README leads to a file of the project."""
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_tree_names_every_module() -> None:
    """The annotated tree mentions every module of fisor/ by name."""
    for path in (ROOT / "fisor").glob("*.py"):
        assert path.name == "__init__.py" or path.name in README, path.name
