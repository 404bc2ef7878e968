"""docs/own-environments.md: its task and its commands work as typed, in small."""

import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from project import ROOT, SMALL_TASK, checked, edit_yaml, small_copy

PAGE = (ROOT / "docs/own-environments.md").read_text(encoding="utf-8")
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
    for task, command in (("Cart", only_cart), ("BallRun", f"{only_ballrun} acquire@BallRun-all")):
        assert f"{task}: 5 episodes; returns" in typed(copy, command)
        assert (copy / f"data/raw/{task}/all.hdf5").exists()
    assert not list((copy / "data/collecting").iterdir())
    table = yaml.safe_load((copy / "tasks.yaml").read_text(encoding="utf-8"))
    assert table["BallRun"]["acquire"]["source"] == "collect"


@pytest.mark.slow
def test_command_trains_and_evaluates(copy: Path) -> None:
    """The entry is enough for the rest of the pipeline, too."""
    typed(copy, COMMANDS[2])
    metrics = json.loads((copy / "reports/metrics.json").read_text(encoding="utf-8"))
    rows = pl.read_parquet(copy / "data/rollouts/Cart/FISOR.parquet")
    assert rows["length"].unique().to_list() == [25]
    # By the page's entry: returns of -1 to 2.5 are 0 to 1, and the cost limit is 1.
    expected = {
        "normalised_reward": (rows["return"].mean() + 1) / 3.5,
        "normalised_cost": rows["cost"].mean(),
        "episodes_without_a_violation": (rows["cost"] == 0).mean(),
        "violating_steps": rows["violating_steps"].mean(),
    }
    figures = metrics["Cart"]["FISOR"]
    means = {name: figure["mean"] for name, figure in figures.items() if "mean" in figure}
    assert means == pytest.approx(expected, abs=1e-4)
    for seed, own in rows.filter(pl.col("start_feasible_value") <= 0).group_by("seed"):
        certified = figures["certificates"]["zero_level"][f"seed_{seed[0]}"]
        violations = int((own["violating_steps"] > 0).sum())
        assert (certified["starts"], certified["violations"]) == (own.height, violations)


@pytest.mark.slow
def test_learners_are_items_of_the_launcher(copy: Path) -> None:
    """Each collects alone, and the dataset is the same, so nothing is trained again.

    One worker, as all learners together have had all cores, too.
    """
    path = copy / "data/transitions/Cart.parquet"
    whole = path.read_bytes()
    edit_yaml(copy / "params.yaml", {"acquire_parts": [0, 1, 2, 3, 4]})
    said = typed(copy, "python -m fisor.cluster local --workers 1")
    done = set(re.findall(r"^(\S+): done after", said, re.MULTILINE))
    collected = {f"acquire@Cart-{part}" for part in range(5)}
    assert done == {"code", "convert@Cart", "report", *collected}
    assert path.read_bytes() == whole


@pytest.mark.slow
def test_report_shows_the_carts_own_figures(copy: Path) -> None:
    """The suite's tables, and the task's own, without a column that nothing is known for."""
    report = (copy / "reports/report.md").read_text(encoding="utf-8")
    assert "feasible starts" not in report
    metrics = json.loads((copy / "reports/metrics.json").read_text(encoding="utf-8"))
    means = {name: f.get("mean") for name, f in metrics["Cart"]["FISOR"].items()}
    shown = f"{means['normalised_reward']:.2f} / {means['normalised_cost']:.2f}"
    of_suite = [line for line in report.splitlines() if line.startswith("| Cart † |")]
    assert of_suite[0].replace("*", "").replace(" ★", "") == f"| Cart † | {shown} |"
    assert len(of_suite) == 2  # reward and cost; violations
    results = report.split("### Results")[1].split("###")[0]
    (row,) = [line for line in results.splitlines() if line.startswith("| FISOR |")]
    assert len(re.findall(r"\| \**-?\d+\.\d+ \[", row)) == 4
