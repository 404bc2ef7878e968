"""fisor/envs/README.md: its entry of the task table and its commands work as typed, in small."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from project import ROOT, SMALL_TASK, checked, edit_yaml, small_copy

PAGE = (ROOT / "fisor/envs/README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE)
(ENTRY,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
PATH = f'PATH="{Path(sys.executable).parent}:$PATH"'


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the page's entry in its table, and collections of one roll-out."""
    folder = small_copy(tmp_path_factory.mktemp("own") / "project")
    with (folder / "tasks.yaml").open("a", encoding="utf-8") as file:
        file.write(f"\n{ENTRY}")
    small = {
        "acquire": {"environment_steps": 1, "episodes": 5},
        "overrides": SMALL_TASK["overrides"],
    }
    edit_yaml(folder / "tasks.yaml", {"Cart": small, "BallRun": small})
    (folder / "tests").mkdir()
    example = (ROOT / "tests/example_environment.py").read_text(encoding="utf-8")
    (folder / "tests/example_environment.py").write_text(example, encoding="utf-8")
    checked(folder, "git", "add", "--all")
    checked(folder, "git", "commit", "--quiet", "--message", "A cart")
    return folder


def typed(copy: Path, command: str) -> str:
    """Type a command into the shell that the page's first has prepared; what it says."""
    done = subprocess.run(
        ["bash", "-c", f"{COMMANDS[0]}; {PATH} {command}"],
        cwd=copy,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stderr


@pytest.mark.slow
def test_commands_collect(copy: Path) -> None:
    """The cart, and a task of DSRL, are collected by one command each."""
    _, only_cart, _, only_ballrun = COMMANDS
    for task, command in (("Cart", only_cart), ("BallRun", f"{only_ballrun} acquire@BallRun")):
        assert f"{task}: 5 episodes; returns" in typed(copy, command)
        assert (copy / f"data/raw/{task}.hdf5").exists()
        assert not (copy / "data/collecting" / task).exists()
    table = yaml.safe_load((copy / "tasks.yaml").read_text(encoding="utf-8"))
    assert table["BallRun"]["acquire"]["source"] == "collect"


@pytest.mark.slow
def test_command_trains_and_evaluates(copy: Path) -> None:
    """The entry is enough for the rest of the pipeline, too."""
    typed(copy, COMMANDS[2])
    metrics = json.loads((copy / "reports/metrics.json").read_text(encoding="utf-8"))
    assert metrics["Cart"]["FISOR"]["normalised_cost"]["mean"] >= 0


def test_links_lead_to_files() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE):
        assert (ROOT / "fisor/envs" / target).exists(), target
