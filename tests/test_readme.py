"""The commands of README and docs/ work as typed, and what they say of the project is so."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import ROOT, SMALL_TASK, checked, edit_yaml, run, write_dsrl_file

from fisor.evaluation.intervals import Estimate
from fisor.report.tables import shown

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md"))}
PAGES["README.md"] = README


def typed(text: str) -> list[str]:
    """The commands after each `$ ` of a page's console blocks."""
    return [
        line[2:].split("  #")[0].strip()
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


COMMANDS = [command for text in PAGES.values() for command in typed(text)]
INLINE = [command for text in PAGES.values() for command in re.findall(r"`(make [^`]+)`", text)]
# Those of an environment of one's own are run by test_own_environment.py.
ELSEWHERE = typed(PAGES["own-environments.md"])


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
    assert typed(README)[:2] == ["make repro", "make test"]


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS + INLINE if c.startswith("make ")}))
def test_make_commands_exist(command: str) -> None:
    """Every `make` command names targets of the Makefile (`make -n` runs nothing)."""
    result = run(ROOT, "make", "-n", *command.split()[1:])
    assert result.returncode == 0, result.stderr


OTHERS = [page for page in PAGES if page != "README.md"]


@pytest.mark.parametrize(
    "page", ["README.md", *(pytest.param(page, marks=pytest.mark.slow) for page in OTHERS)]
)
def test_dvc_commands_run(pipeline: Path, page: str) -> None:
    """Every dvc command of a page, in its order, on the project in small."""
    for command in typed(PAGES[page]):
        if command.startswith("dvc ") and command not in ELSEWHERE and "source=" not in command:
            result = subprocess.run(
                ["bash", "-c", f'PATH="{Path(sys.executable).parent}:$PATH" {command}'],
                cwd=pipeline,
                text=True,
                capture_output=True,
                check=False,
            )
            assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"


def test_python_of_the_readme_runs(pipeline: Path) -> None:
    """The example loads the policy that the first run has left."""
    metrics = checked(pipeline, "dvc", "metrics", "show")
    assert "intersection_over_union" in metrics
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    shapes = "\nassert actions.shape == (4, 2)\nassert values.shape == (4,)\n"
    checked(pipeline, sys.executable, "-c", code + shapes)


def test_results_are_those_of_the_committed_run() -> None:
    """README's table has rows of the report's, taken from what is committed.

    A run on another processor rewrites the workspace's results, and is compared with nothing here.
    """
    committed = run(ROOT, "git", "show", ":reports/metrics.json")
    assert committed.returncode == 0, committed.stderr
    figures = json.loads(committed.stdout)["PointRobot"]
    names = (
        "normalised_reward",
        "violating_steps",
        "episodes_with_a_violation",
        "violation_from_feasible_starts",
        "goal_reached_from_feasible_starts",
    )
    for method in ("FISOR", "FISOR-BF"):
        cells = [shown(Estimate(**figures[method][name]), 2) for name in names]
        assert f"| {method} | {' | '.join(cells)} |" in README


def test_links_and_pictures_are_there() -> None:
    """Every relative link leads to a file of the project."""
    for page, text in PAGES.items():
        folder = ROOT if page == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert (folder / target).exists(), f"{page}: {target}"


def test_the_tree_names_every_room() -> None:
    """README's tree mentions every folder of fisor/, and of the project."""
    tree = README[README.index("dvc.yaml, params.yaml") : README.index("## Documentation")]
    for path in (ROOT / "fisor").iterdir():
        if (path / "__init__.py").exists():
            assert f"{path.name}/" in tree, path.name
    for folder in ("stages", "studies", "data", "reports", "tests", "benchmarks", "docs"):
        assert f"{folder}/" in tree


def test_readme_leads_to_every_page() -> None:
    """A page that nothing links to is not read; and README is short."""
    for page in PAGES.keys() - {"README.md"}:
        assert f"(docs/{page})" in README
    assert len(README.splitlines()) <= 110
