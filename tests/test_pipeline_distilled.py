"""A one-step policy beside FISOR in the pipeline: what it leaves, what reruns it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import checked, edit_yaml, editing, run
from reruns import (
    BELOW_CRITICS,
    BELOW_EVALUATION,
    BELOW_POLICY,
    DISTIL,
    DISTILLED,
    run_beside,
    would_rerun,
    write,
)

from fisor.compare.revision import WORKSPACE, Revision

ONE_STEP = "FISOR-OneStep"
BELOW_DISTIL = DISTILLED | {"report"}
BELOW_ITS_EVALUATION = BELOW_DISTIL - {DISTIL}


@pytest.fixture(scope="module")
def distilled(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in small with FISOR-OneStep beside FISOR; the report ran last."""
    return run_beside(pipeline, tmp_path_factory.mktemp("distilled"), "distilled", "FISOR")


@pytest.fixture
def edited_with_it(distilled: Path) -> Iterator[Path]:
    """The same, to be edited."""
    with editing(distilled) as folder:
        yield folder


def test_a_one_step_policy_stands_beside_its_teacher(distilled: Path) -> None:
    """Trained, evaluated, recorded and reported by its name, with a curve; compared, too."""
    metrics = json.loads((distilled / "reports/metrics.json").read_text())["PointRobot"]
    assert metrics[ONE_STEP].keys() == metrics["FISOR"].keys()
    assert 0 <= metrics[ONE_STEP]["episodes_with_a_violation"]["mean"] <= 1
    curve = distilled / f"reports/curves/PointRobot/distillation_loss_of_{ONE_STEP}.csv"
    assert curve.read_text().startswith("update,mean,low,high\n")
    assert ONE_STEP in (distilled / "reports/report.html").read_text()
    assert (distilled / f"data/recordings/PointRobot/{ONE_STEP}/recording.json").exists()
    with Revision(distilled, WORKSPACE) as revision:
        assert revision.methods == ["FISOR", ONE_STEP]
        assert set(revision.rollouts("PointRobot", ONE_STEP)["method"]) == {ONE_STEP}


def test_its_folder_acts_and_guards(distilled: Path) -> None:
    """By `load_policy`, and in a monitor, which needs its feasible values."""
    code = (
        "import jax, numpy, fisor\n"
        "from fisor.envs.point_robot.suite import PointRobotEnv\n"
        f"policy = fisor.load_policy('data/policy/PointRobot/{ONE_STEP}', seed=1)\n"
        "print(*policy.act(numpy.zeros((3, 11)), jax.random.key(0)).shape)\n"
        "environment = fisor.monitor(PointRobotEnv(), policy)\n"
        "environment.reset(seed=0)\n"
        "print(*environment.step([0.5, 0.0])[4]['monitor'])\n"
    )
    shape, judged = checked(distilled, sys.executable, "-c", code).splitlines()[-2:]
    assert shape == "3 2"
    assert "stepped_in" in judged.split()


CHANGES = {
    "its own": ({"methods": {ONE_STEP: {"train": {"batch_size": 8}}}}, BELOW_DISTIL),
    "its acting": ({"methods": {ONE_STEP: {"act": {"N": 3}}}}, BELOW_ITS_EVALUATION),
    "its size": ({"sizes": {"paper": {"distilled": {"batch_size": 8}}}}, BELOW_DISTIL),
    "its teacher's training": ({"feasible_temperature": 2}, BELOW_POLICY | DISTILLED),
    "its teacher's acting": (
        {"methods": {"FISOR": {"act": {"N": 3}}}},
        BELOW_EVALUATION,
    ),
    "tau": ({"tau": 0.8}, BELOW_CRITICS | DISTILLED),
}


@pytest.mark.parametrize("name", CHANGES)
def test_it_depends_on_its_parameters_and_on_its_teacher(edited_with_it: Path, name: str) -> None:
    """README's line: exactly the stages listed, of FISOR and of FISOR-OneStep."""
    change, expected = CHANGES[name]
    edit_yaml(edited_with_it / "params.yaml", change)
    assert would_rerun(edited_with_it) == expected


def test_its_code_reruns_it_alone(edited_with_it: Path) -> None:
    """The loss is its own; nothing of FISOR's is stale."""
    write(edited_with_it, "fisor/policies/distillation.py", "** 2).sum()", "** 2).mean()")
    assert would_rerun(edited_with_it) == BELOW_DISTIL


def test_a_teacher_of_other_seeds_is_refused(edited_with_it: Path) -> None:
    """By hand, where DVC would have trained it again: folder and parameter are named."""
    edit_yaml(edited_with_it / "params.yaml", {"seeds": 1})
    teacher = "data/policy/PointRobot/FISOR/trained"
    options = ("--task", "PointRobot", "--method", ONE_STEP, "--teacher", teacher)
    options += ("--transitions", "data/transitions/PointRobot.parquet")
    result = run(
        *(edited_with_it, sys.executable, "-m", "stages.distil", *options),
        *("--out", "made", "--log", "log"),
    )
    assert result.returncode == 1
    assert f"{teacher}: has 2 seeds where `seeds` is 1" in result.stderr
    assert not (edited_with_it / "made").exists()
