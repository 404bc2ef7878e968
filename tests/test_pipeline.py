"""The pipeline as DVC runs it: its outputs, what a change reruns, its declared dependencies."""

import json
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import polars as pl
import pytest
import yaml
from dvc.repo import Repo
from project import (
    ROOT,
    TRAINING_STAGES,
    checked,
    edit_yaml,
    import_closure,
    run,
    small_copy,
)

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
POLICY, EVALUATE = "train_policy@PointRobot-FISOR", "evaluate@PointRobot-FISOR"
BEFORE_POLICY = ("acquire", "convert", "label", "train_feasibility", "train_reward")
TASK_STAGES = (*(f"{stage}@PointRobot" for stage in BEFORE_POLICY), POLICY)


@pytest.fixture(scope="module")
def pipeline(first_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in small, run once from nothing and committed."""
    return shutil.copytree(first_run, tmp_path_factory.mktemp("pipeline") / "project")


@pytest.fixture
def edited(pipeline: Path) -> Iterator[Path]:
    """The same; the code and parameters that a test edits are put back afterwards."""
    yield pipeline
    checked(pipeline, "git", "checkout", "--quiet", "fisor", "params.yaml", "tasks.yaml")


@pytest.fixture
def rerun(edited: Path) -> Iterator[Path]:
    """The same for tests that run stages: outputs are put back, too."""
    yield edited
    checked(edited, "git", "checkout", "--quiet", ".")
    checked(edited, "git", "clean", "--force", "--quiet", "-d")
    checked(edited, "dvc", "checkout", "--quiet", "--force")


def would_rerun(folder: Path) -> set[str]:
    """Stages that `dvc repro` would run if each changed stage also changed its output.

    DVC's own status names the stages whose dependencies changed, and its graph what lies below.
    """
    with warnings.catch_warnings(), Repo(folder) as repo:
        warnings.simplefilter("ignore")  # DVC's own
        stale = {address.split(":")[-1] for address in repo.status()}
        graph = repo.index.graph  # an edge goes from a stage to one that it depends on
        changed = [stage for stage in graph if stage.name in stale]
        below = {stage.name for start in changed for stage in nx.ancestors(graph, start)}
    return stale | below


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


def test_nothing_changed_runs_nothing(pipeline: Path) -> None:
    """A second `dvc repro` does nothing."""
    assert "Running stage" not in checked(pipeline, "dvc", "repro")


def test_same_inputs_give_the_same_bytes(pipeline: Path, tmp_path: Path) -> None:
    """A second run, in another folder and without the first one's cache, gives the same hashes."""
    other = small_copy(tmp_path / "again")
    checked(other, "dvc", "repro")
    assert (other / "dvc.lock").read_text() == (pipeline / "dvc.lock").read_text()


BELOW_FEASIBILITY = {"train_feasibility@PointRobot", POLICY, EVALUATE, "report"}
ACQUIRE = {"acquire@PointRobot"}
CHANGES = {
    "tau": ({"tau": 0.8}, BELOW_FEASIBILITY | {"train_reward@PointRobot"}),
    "gamma": ({"gamma": 0.98}, BELOW_FEASIBILITY | {"train_reward@PointRobot"}),
    "product_precision": (
        {"product_precision": "bfloat16"},
        BELOW_FEASIBILITY | {"train_reward@PointRobot"},
    ),
    "M": ({"M": 1}, BELOW_FEASIBILITY | {"label@PointRobot"}),
    # Wherever a file comes from, it is the same.
    "dataset_hosts": ({"dataset_hosts": ["http://mirror.example.org/"]}, set()),
    "drop_bad_rows": ({"drop_bad_rows": True}, {*TASK_STAGES, EVALUATE, "report"} - ACQUIRE),
    "temperature": ({"feasible_temperature": 2}, {POLICY, EVALUATE, "report"}),
    "clip": ({"infeasible_clip": 100}, {POLICY, EVALUATE, "report"}),
    "T": ({"T": 4}, {POLICY, EVALUATE, "report"}),
    "N": ({"N": 3}, {EVALUATE, "report"}),
    "episodes": ({"episodes": 10}, {EVALUATE, "report"}),
    "policy_weights": ({"policy_weights": "ones"}, {POLICY, EVALUATE, "report"}),
    # The paper's ablations: without reachability, without the infeasible part, without diffusion,
    # without a constraint, imitation (weights and experts), less data.
    "w/o HJ": ({"feasibility": "cost_value"}, BELOW_FEASIBILITY),
    "threshold": ({"cost_value_threshold": 0.01}, BELOW_FEASIBILITY),
    "w/o infeasible": ({"policy_weights": "feasible_only"}, {POLICY, EVALUATE, "report"}),
    "w/o diffusion": ({"policy": "gaussian"}, {POLICY, EVALUATE, "report"}),
    "w/o constraint": ({"policy_weights": "unconstrained"}, {POLICY, EVALUATE, "report"}),
    "imitation": ({"policy_weights": "imitation"}, {POLICY, EVALUATE, "report"}),
    "experts": ({"expert_return": 0}, {*TASK_STAGES, EVALUATE, "report"} - ACQUIRE),
    "data_share": ({"data_share": 0.5}, {*TASK_STAGES, EVALUATE, "report"} - ACQUIRE),
    "data_share_seed": ({"data_share_seed": 1}, {*TASK_STAGES, EVALUATE, "report"} - ACQUIRE),
    "sampler": ({"sampler": "dpm_solver_1"}, {EVALUATE, "report"}),
    "an ablation as a method": (
        {"methods": ["FISOR", "gaussian"], "method_changes": {"gaussian": {"policy": "gaussian"}}},
        {"train_policy@PointRobot-gaussian", "evaluate@PointRobot-gaussian", "report"},
    ),
    "one more method": (
        {"methods": ["FISOR", "BC"]},
        {"train_policy@PointRobot-BC", "evaluate@PointRobot-BC", "report"},
    ),
    "a method's change": (
        {"method_changes": {"FISOR": {"N": 3}}},
        {POLICY, EVALUATE, "report"},
    ),
    "another method's change": ({"method_changes": {"BC": {"N": 3}}}, set()),
    "seeds": ({"seeds": 1}, BELOW_FEASIBILITY | {"train_reward@PointRobot"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_parameter_reruns_what_lies_downstream(edited: Path, name: str) -> None:
    """README's table: a changed parameter reruns exactly the stages listed."""
    change, expected = CHANGES[name]
    edit_yaml(edited / "params.yaml", change)
    assert would_rerun(edited) == expected


def test_plot_code_reruns_the_report_alone(edited: Path) -> None:
    """A change in the plots' code reaches no other stage."""
    with (edited / "fisor/plots.py").open("a") as file:
        file.write("# a comment\n")
    assert would_rerun(edited) == {"report"}


def test_one_more_task_runs_its_own_chain(edited: Path) -> None:
    """A further task in the list adds its chain and the report; the first task's stages stay."""
    tasks = yaml.safe_load((edited / "tasks.yaml").read_text())
    edit_yaml(edited / "tasks.yaml", {"Other": tasks["PointRobot"]})
    edit_yaml(edited / "params.yaml", {"run": ["PointRobot", "Other"]})
    of_other = {stage.replace("PointRobot", "Other") for stage in (*TASK_STAGES, EVALUATE)}
    assert would_rerun(edited) == of_other | {"report"}


def test_more_candidates_really_rerun_two_stages(rerun: Path) -> None:
    """`dvc repro` after a change of N runs evaluate and report and nothing else."""
    edit_yaml(rerun / "params.yaml", {"N": 3})
    printed = checked(rerun, "dvc", "repro")
    assert re.findall(r"Running stage '([^']+)'", printed) == [EVALUATE, "report"]


def test_unknown_task_is_refused_with_the_list(edited: Path) -> None:
    """A task that tasks.yaml lacks: the message lists those there are; nothing is left behind."""
    command = (sys.executable, "-m", "stages.acquire", "--task", "Nope", "--raw", "data/raw/N.hdf5")
    result = run(edited, *command)
    assert result.returncode == 1
    assert "no task `Nope`" in result.stderr
    assert "PointRobot" in result.stderr
    assert not (edited / "data/raw/N.hdf5").exists()


def test_bad_parameter_stops_a_stage_without_output(rerun: Path) -> None:
    """An out-of-range parameter: named, exit status not 0, no half-written output."""
    edit_yaml(rerun / "params.yaml", {"tau": 1.5})
    result = run(rerun, "dvc", "repro")
    assert result.returncode != 0
    assert "`tau` must be above 0.5 and below 1, not 1.5" in result.stderr
    assert not list((rerun / "data/feasibility").glob("*PointRobot*"))


def test_cut_dataset_stops_a_stage_without_output(rerun: Path) -> None:
    """A Parquet file cut short: named, exit status 1, no output and no partial folder."""
    (rerun / "cut.parquet").write_bytes(
        (rerun / "data/transitions/PointRobot.parquet").read_bytes()[:1000]
    )
    options = ("--task", "PointRobot", "--transitions", "cut.parquet", "--out", "reward")
    result = run(rerun, sys.executable, "-m", "stages.train_reward", *options)
    assert result.returncode == 1
    assert "cut.parquet: is not a whole Parquet file" in result.stderr
    assert not list(rerun.glob("*reward*"))


@pytest.mark.parametrize("stage", STAGES)
def test_declared_dependencies_are_the_imports(stage: str) -> None:
    """The Python files that a stage declares are exactly those that its script imports."""
    declared = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")}
    files, _ = import_closure(f"stages.{stage}")
    assert declared == files


@pytest.mark.parametrize("stage", TRAINING_STAGES)
def test_training_needs_few_packages(stage: str) -> None:
    """Training imports nothing that a bare GPU machine lacks."""
    allowed = {"jax", "flax", "optax", "numpy", "pyarrow", "safetensors", "tqdm", "yaml"}
    _, others = import_closure(f"stages.{stage}")
    assert others - allowed - sys.stdlib_module_names == set()


def test_training_really_imports_few_packages() -> None:
    """The same at run time: no dvc, polars, h5py, simulator or plotting library is loaded."""
    code = "import sys, stages.train_policy; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = set(checked(ROOT, sys.executable, "-c", code).split())
    assert not loaded & {"dvc", "polars", "h5py", "gymnasium", "matplotlib", "safety_gymnasium"}
