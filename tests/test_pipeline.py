"""The pipeline as DVC runs it: its outputs, what really runs again, and how it fails."""

import json
import re
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from project import checked, edit_yaml, run, small_copy
from reruns import EVALUATE, OURS, RECORD

# Outputs ------------------------------------------------------------------------------------------


def test_every_stage_leaves_its_output(pipeline: Path) -> None:
    """The whole pipeline runs on real stages; the report holds figures that are numbers."""
    metrics = json.loads((pipeline / "reports/metrics.json").read_text())["PointRobot"]
    assert 0 <= metrics["FISOR"]["episodes_with_a_violation"]["mean"] <= 1
    assert 0 <= metrics["feasible_region"]["mean_intersection_over_union"] <= 1
    report = (pipeline / "reports/report.md").read_text()
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", report)
    assert len(pictures) == 4
    for picture in pictures:
        assert (pipeline / "reports" / picture).read_bytes().startswith(b"\x89PNG")
    rows = pl.read_parquet(pipeline / "data/rollouts/PointRobot/FISOR.parquet")
    assert rows.height == 2 * 12  # seeds x episodes
    assert rows["reset_seed"].n_unique() == 12  # every seed runs from the same starts


def test_a_policys_folder_acts_as_it_was_evaluated(pipeline: Path) -> None:
    """`load_policy` finds what it needs in the folder, the N of the evaluation included."""
    folder = pipeline / "data/policy/PointRobot/FISOR"
    acting = json.loads((folder / "acting.json").read_text())
    assert (acting["N"], acting["acting_rule"]) == (2, "lowest_violation")
    code = (
        "import jax, numpy, fisor\n"
        "policy = fisor.load_policy('data/policy/PointRobot/FISOR')\n"
        "print(*policy.act(numpy.zeros((3, 11)), jax.random.key(0)).shape)\n"
    )
    assert checked(pipeline, sys.executable, "-c", code).split() == ["3", "2"]


@pytest.mark.slow
def test_our_variant_stands_beside_fisor(rerun: Path) -> None:
    """Trained, evaluated by its own rule and reported by its name; FISOR's is not touched."""
    before = json.loads((rerun / "reports/metrics.json").read_text())["PointRobot"]["FISOR"]
    edit_yaml(rerun / "params.yaml", {"policies": ["FISOR", OURS]})
    checked(rerun, "dvc", "repro")
    metrics = json.loads((rerun / "reports/metrics.json").read_text())["PointRobot"]
    assert metrics["FISOR"] == before
    assert metrics[OURS].keys() == before.keys()
    acting = json.loads((rerun / f"data/policy/PointRobot/{OURS}/acting.json").read_text())
    assert acting["acting_rule"] == "best_feasible"
    own = yaml.safe_load((rerun / "params.yaml").read_text())["methods"][OURS]["act"]
    assert own == {name: acting[name] for name in own}


def test_nothing_changed_runs_nothing(pipeline: Path) -> None:
    """A second `dvc repro` does nothing."""
    assert "Running stage" not in checked(pipeline, "dvc", "repro")


def test_same_inputs_give_the_same_bytes(pipeline: Path, tmp_path: Path) -> None:
    """A second run, in another folder and without the first one's cache, gives the same hashes."""
    other = small_copy(tmp_path / "again")
    checked(other, "dvc", "repro")
    assert (other / "dvc.lock").read_text() == (pipeline / "dvc.lock").read_text()


@pytest.mark.slow
def test_more_candidates_really_rerun_three_stages(rerun: Path) -> None:
    """`dvc repro` after a change of N runs evaluate, record and report and nothing else."""
    edit_yaml(rerun / "params.yaml", {"N": 3})
    printed = checked(rerun, "dvc", "repro")
    ran = re.findall(r"Running stage '([^']+)'", printed)
    assert sorted(ran) == sorted(["code", EVALUATE, RECORD, "report"])


@pytest.mark.slow
def test_clones_share_stages_by_the_cache_alone(rerun: Path, tmp_path: Path) -> None:
    """A worker's clone at the same commit runs one stage; the head then takes its output over.

    What the stage depends on, its file of stage `code` included, comes by `--pull`.
    """
    checked(rerun, "dvc", "remote", "add", "--default", "shared", str(tmp_path / "remote"))
    edit_yaml(rerun / "params.yaml", {"N": 4})
    checked(rerun, "dvc", "repro", "code")
    checked(rerun, "git", "commit", "--quiet", "--all", "--message", "Other candidates")
    try:
        checked(rerun, "dvc", "push", "--run-cache")
        checked(tmp_path, "git", "clone", "--quiet", str(rerun), "worker")
        worker = tmp_path / "worker"
        printed = checked(worker, "dvc", "repro", "--pull", "--single-item", EVALUATE)
        assert f"Running stage '{EVALUATE}'" in printed
        assert not list((worker / "data").glob("raw/*/*.hdf5"))
        checked(worker, "dvc", "push", "--run-cache")
        checked(rerun, "dvc", "pull", "--run-cache", "--allow-missing")
        ran = re.findall(r"Running stage '([^']+)'", checked(rerun, "dvc", "repro", "--pull"))
        assert sorted(ran) == sorted([RECORD, "report"])
    finally:
        checked(rerun, "git", "reset", "--quiet", "--hard", "HEAD~1")


# Runs that fail -----------------------------------------------------------------------------------


def test_unknown_task_is_refused_with_the_list(edited: Path) -> None:
    """A task that tasks.yaml lacks: the message lists those there are; nothing is left behind."""
    options = ("--task", "Nope", "--part", "all", "--raw", "Nope.hdf5")
    result = run(edited, sys.executable, "-m", "stages.acquire", *options)
    assert result.returncode == 1
    assert "no task `Nope`" in result.stderr
    assert "PointRobot" in result.stderr
    assert not list(edited.glob("*Nope*"))


def test_bad_parameter_stops_the_run_before_anything_is_trained(rerun: Path) -> None:
    """An out-of-range parameter: named, exit status not 0, no half-written output, no training."""
    edit_yaml(rerun / "params.yaml", {"tau": 1.5, "T": 0})
    result = run(rerun, "dvc", "repro")
    assert result.returncode != 0
    assert "params.yaml: `tau` must be less than 1, not 1.5" in result.stderr
    assert "params.yaml: `T` must be greater than or equal to 1, not 0" in result.stderr
    assert re.findall(r"Running stage '([^']+)'", result.stdout) == ["code"]
    assert not list((rerun / "data/code").glob("*.json"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"baselines": ["Nope"], "methods": {"Nope": {"train": {}, "act": {}}}},
            "no baseline `Nope`",
        ),
        (
            {"methods": {"BC": {"train": {"speed": 1}}}, "baselines": ["BC"]},
            "methods.BC.train.speed",
        ),
    ],
)
def test_bad_methods_are_refused(rerun: Path, change: dict, message: str) -> None:
    """An unknown baseline, and a key that a method does not have."""
    edit_yaml(rerun / "params.yaml", change)
    result = run(rerun, "dvc", "repro", "code")
    assert result.returncode != 0
    assert message in result.stderr


def test_unknown_suite_is_refused_with_the_list(rerun: Path) -> None:
    """Before anything runs, with the place in tasks.yaml."""
    edit_yaml(rerun / "tasks.yaml", {"PointRobot": {"suite": "chess"}})
    result = run(rerun, "dvc", "repro")
    assert "tasks.yaml: `PointRobot.suite` must be one of point_robot, " in result.stderr
    assert re.findall(r"Running stage '([^']+)'", result.stdout) == ["code"]


def test_cut_dataset_stops_a_stage_without_output(edited: Path) -> None:
    """A Parquet file cut short: named, exit status 1, no output and no partial folder."""
    (edited / "cut.parquet").write_bytes(
        (edited / "data/transitions/PointRobot.parquet").read_bytes()[:1000]
    )
    options = ("--task", "PointRobot", "--transitions", "cut.parquet", "--out", "reward")
    options += ("--log", "reward.log")
    result = run(edited, sys.executable, "-m", "stages.train_reward", *options)
    assert result.returncode == 1
    assert "cut.parquet: is not a whole Parquet file" in result.stderr
    assert not list(edited.glob("*reward*"))
