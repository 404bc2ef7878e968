"""The pipeline as DVC runs it: its outputs, and what a change reruns."""

import json
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import networkx as nx
import polars as pl
import pytest
import yaml
from dvc.repo import Repo
from project import ROOT, checked, edit_yaml, run, small_copy

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
POLICY, EVALUATE = "train_policy@PointRobot-FISOR", "evaluate@PointRobot-FISOR"
BASELINE, EVALUATE_BASELINE = "train_baseline@PointRobot-BC", "evaluate_baseline@PointRobot-BC"
OURS = "FISOR-BF"
FEASIBILITY, REWARD = "train_feasibility@PointRobot", "train_reward@PointRobot"
CHAIN = {f"{stage}@PointRobot" for stage in ("acquire", "convert", "label")}
CHAIN |= {FEASIBILITY, REWARD, POLICY, EVALUATE, "report"}
BELOW_POLICY = {POLICY, EVALUATE, "report"}
BELOW_FEASIBILITY = {FEASIBILITY, *BELOW_POLICY}
BELOW_CRITICS = {REWARD, *BELOW_FEASIBILITY}


@pytest.fixture(scope="module")
def pipeline(first_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in small, run once from nothing and committed."""
    return shutil.copytree(first_run, tmp_path_factory.mktemp("pipeline") / "project")


@pytest.fixture(scope="module")
def with_baseline(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with BC beside FISOR."""
    folder = shutil.copytree(pipeline, tmp_path_factory.mktemp("baseline") / "project")
    edit_yaml(folder / "params.yaml", {"baselines": ["BC"]})
    checked(folder, "dvc", "repro")
    checked(folder, "git", "add", "--all")
    checked(folder, "git", "commit", "--quiet", "--message", "BC beside FISOR")
    return folder


@contextmanager
def editing(folder: Path) -> Iterator[Path]:
    """What is written, and what stage `code` makes of it, is put back afterwards."""
    shutil.copytree(folder / "data/code", folder / ".git/code")
    yield folder
    shutil.rmtree(folder / "data/code")
    (folder / ".git/code").rename(folder / "data/code")
    checked(folder, "git", "checkout", "--quiet", ".")
    checked(folder, "git", "clean", "--force", "--quiet", "-d")


@pytest.fixture
def edited(pipeline: Path) -> Iterator[Path]:
    """The project in small; what a test edits is put back afterwards."""
    with editing(pipeline) as folder:
        yield folder


@pytest.fixture
def rerun(edited: Path) -> Iterator[Path]:
    """The same for tests that run stages: all outputs are put back, too."""
    yield edited
    checked(edited, "git", "checkout", "--quiet", ".")
    checked(edited, "dvc", "checkout", "--quiet", "--force")


@pytest.fixture
def edited_with_baseline(with_baseline: Path) -> Iterator[Path]:
    """The project in small with BC beside FISOR."""
    with editing(with_baseline) as folder:
        yield folder


def would_rerun(folder: Path) -> set[str]:
    """Stages that `dvc repro` would run if each changed stage also changed its output.

    Stages `code` and `code_baseline`, which only say what the others compute with, run here as they
    would there. Then DVC's own status names the stages whose dependencies changed, and its graph
    what lies below.
    """
    options = ("--lock", "requirements.lock", "--out", "data/code")
    checked(folder, sys.executable, "-m", "stages.code", *options)
    for method in yaml.safe_load((folder / "params.yaml").read_text())["baselines"]:
        command = ("stages.code_baseline", "--method", method, *options)
        checked(folder, sys.executable, "-m", *command)
    with warnings.catch_warnings(), Repo(folder) as repo:
        warnings.simplefilter("ignore")  # DVC's own
        stale = {address.split(":")[-1] for address in repo.status()}
        stale = {stage for stage in stale if not stage.startswith("code")}
        graph = repo.index.graph  # an edge goes from a stage to one that it depends on
        changed = [stage for stage in graph if stage.name in stale]
        below = {stage.name for start in changed for stage in nx.ancestors(graph, start)}
    return stale | below


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


def test_a_baseline_stands_beside_fisor(with_baseline: Path) -> None:
    """Trained, evaluated and reported by its name; its folder acts by itself."""
    metrics = json.loads((with_baseline / "reports/metrics.json").read_text())["PointRobot"]
    assert 0 <= metrics["BC"]["episodes_with_a_violation"]["mean"] <= 1
    curves = (with_baseline / "reports/curves/PointRobot/policy_loss_of_BC.csv").read_text()
    assert curves.startswith("update,mean,low,high\n")
    code = (
        "import jax, numpy, fisor\n"
        "policy = fisor.load_policy('data/policy/PointRobot/BC', seed=1)\n"
        "print(*policy.act(numpy.zeros((3, 11)), jax.random.key(0)).shape)\n"
    )
    assert checked(with_baseline, sys.executable, "-c", code).split() == ["3", "2"]


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


# What a parameter reruns --------------------------------------------------------------------------


FROM_CONVERT = CHAIN - {"acquire@PointRobot"}
CHANGES = {
    "tau": ({"tau": 0.8}, BELOW_CRITICS),
    "gamma": ({"gamma": 0.98}, BELOW_CRITICS),
    "product_precision": ({"product_precision": "bfloat16"}, BELOW_CRITICS),
    "seeds": ({"seeds": 1}, BELOW_CRITICS),
    "M": ({"M": 1}, BELOW_FEASIBILITY | {"label@PointRobot"}),
    # Wherever a file comes from, it is the same.
    "dataset_hosts": ({"dataset_hosts": ["http://mirror.example.org/"]}, set()),
    "drop_bad_rows": ({"drop_bad_rows": True}, FROM_CONVERT),
    "temperature": ({"feasible_temperature": 2}, BELOW_POLICY),
    "clip": ({"infeasible_clip": 100}, BELOW_POLICY),
    "T": ({"T": 4}, BELOW_POLICY),
    "N": ({"N": 3}, {EVALUATE, "report"}),
    "sampler": ({"sampler": "dpm_solver_1"}, {EVALUATE, "report"}),
    "acting_rule": ({"acting_rule": "best_feasible"}, {EVALUATE, "report"}),
    "margin": ({"margin": 0.1}, {EVALUATE, "report"}),
    "proposals": ({"proposals": 3}, {EVALUATE, "report"}),
    "episodes": ({"episodes": 10}, {EVALUATE, "report"}),
    "certificate_beta": ({"certificate_beta": 0.01}, {"report"}),
    "certificate_epsilon": ({"certificate_epsilon": 0.1}, {"report"}),
    # The paper's ablations: without reachability, without the infeasible part, without diffusion,
    # without a constraint, imitation (weights and experts), less data.
    "w/o HJ": ({"feasibility": "cost_value"}, BELOW_FEASIBILITY),
    "threshold": ({"cost_value_threshold": 0.01}, BELOW_FEASIBILITY),
    "w/o infeasible": ({"policy_weights": "feasible_only"}, BELOW_POLICY),
    "w/o diffusion": ({"policy": "gaussian"}, BELOW_POLICY),
    "w/o constraint": ({"policy_weights": "unconstrained"}, BELOW_POLICY),
    "imitation": ({"policy_weights": "imitation"}, BELOW_POLICY),
    "experts": ({"expert_return": 0}, FROM_CONVERT),
    "data_share": ({"data_share": 0.5}, FROM_CONVERT),
    "data_share_seed": ({"data_share_seed": 1}, FROM_CONVERT),
    "an ablation beside FISOR": (
        {"policies": ["FISOR", "gaussian"]},
        {"train_policy@PointRobot-gaussian", "evaluate@PointRobot-gaussian", "report"},
    ),
    "our variant beside FISOR": (
        {"policies": ["FISOR", OURS]},
        {f"train_policy@PointRobot-{OURS}", f"evaluate@PointRobot-{OURS}", "report"},
    ),
    "a baseline beside FISOR": (
        {"baselines": ["BC"]},
        {BASELINE, EVALUATE_BASELINE, "report"},
    ),
    "a method's training": ({"methods": {"FISOR": {"train": {"T": 4}}}}, BELOW_POLICY),
    "a method's acting": ({"methods": {"FISOR": {"act": {"N": 3}}}}, {EVALUATE, "report"}),
    "another method": ({"methods": {"gaussian": {"train": {"T": 4}, "act": {"N": 3}}}}, set()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_parameter_reruns_what_lies_downstream(edited: Path, name: str) -> None:
    """README's table: a changed parameter reruns exactly the stages listed."""
    change, expected = CHANGES[name]
    edit_yaml(edited / "params.yaml", change)
    assert would_rerun(edited) == expected


def test_a_tasks_own_facts_rerun_what_reads_them(edited: Path) -> None:
    """Keeping the observations is evaluation's alone; the cost limit labels, scores, reports."""
    edit_yaml(edited / "tasks.yaml", {"PointRobot": {"record_observations": False}})
    assert would_rerun(edited) == {EVALUATE, "report"}
    edit_yaml(edited / "tasks.yaml", {"PointRobot": {"cost_limit": 6}})
    assert {"acquire@PointRobot", REWARD} & would_rerun(edited) == {REWARD}  # below convert


BASELINE_CHANGES = {
    # No critic of FISOR's, and nothing that only they read, touches a baseline.
    "tau": ({"tau": 0.8}, BELOW_CRITICS),
    "M": ({"M": 1}, BELOW_FEASIBILITY | {"label@PointRobot"}),
    "N": ({"N": 3}, {EVALUATE, "report"}),
    "temperature": ({"feasible_temperature": 2}, BELOW_POLICY),
    "its own": (
        {"methods": {"BC": {"train": {"batch_size": 8}}}},
        {BASELINE, EVALUATE_BASELINE, "report"},
    ),
    "seeds": ({"seeds": 1}, BELOW_CRITICS | {BASELINE, EVALUATE_BASELINE}),
}


@pytest.mark.parametrize("name", BASELINE_CHANGES)
def test_a_baseline_depends_on_its_own_parameters(edited_with_baseline: Path, name: str) -> None:
    """Exactly the stages listed, of FISOR and of BC."""
    change, expected = BASELINE_CHANGES[name]
    edit_yaml(edited_with_baseline / "params.yaml", change)
    assert would_rerun(edited_with_baseline) == expected


def test_one_more_task_runs_its_own_chain(edited: Path) -> None:
    """A further task in the list adds its chain and the report; the first task's stages stay."""
    tasks = yaml.safe_load((edited / "tasks.yaml").read_text())
    edit_yaml(edited / "tasks.yaml", {"Other": tasks["PointRobot"]})
    edit_yaml(edited / "params.yaml", {"run": ["PointRobot", "Other"]})
    assert would_rerun(edited) == {stage.replace("PointRobot", "Other") for stage in CHAIN}


# What a change of code reruns ---------------------------------------------------------------------


def write(folder: Path, module: str, old: str, new: str) -> None:
    """Change the code of a module of the project."""
    path = folder / module
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


CODE = {
    "a comment": ("fisor/critics/losses.py", "import jax\n", "import jax\n\n# A comment.\n", set()),
    "a docstring": (
        "fisor/critics/losses.py",
        '    """L^tau(u)',
        '    """Another sentence on L^tau(u)',
        set(),
    ),
    "a blank line": ("fisor/config/training.py", "\n\n\n", "\n\n\n\n", set()),
    "the feasible target": (
        "fisor/critics/feasibility.py",
        "(1 - gamma) * violation + gamma",
        "(1 - gamma) * violation + 1.0 * gamma",
        BELOW_FEASIBILITY,
    ),
    "the reward's value loss": (
        "fisor/critics/reward.py",
        "q_r - v_r",
        "(q_r - v_r) * 1.0",
        {REWARD, *BELOW_POLICY},
    ),
    "the expectile": (
        "fisor/critics/losses.py",
        "difference**2",
        "difference * difference",
        BELOW_CRITICS,
    ),
    "the weights": (
        "fisor/policies/weights.py",
        "infeasible_temperature * (q_h - v_h)",
        "infeasible_temperature * (q_h - v_h) * 1.0",
        BELOW_POLICY,
    ),
    "the choice among candidates": (
        "fisor/policies/agent.py",
        ".max(axis=0)",
        ".mean(axis=0)",
        {EVALUATE, "report"},
    ),
    "a simulator": (
        "fisor/envs/bullet_safety_gym.py",
        "FAR_ABOVE_METRES = 50.0",
        "FAR_ABOVE_METRES = 60.0",
        CHAIN,
    ),
    "a plot": ("fisor/report/plots.py", '"font.size": 9', '"font.size": 10', {"report"}),
    "a study": ("fisor/studies/pictures.py", "PANEL_INCHES = 2.7", "PANEL_INCHES = 3.0", set()),
    "a new release of JAX": ("requirements.lock", "\njax==", "\njax==9.", CHAIN),
    "a new release of optax": (
        "requirements.lock",
        "\noptax==",
        "\noptax==9.",
        CHAIN,  # stage acquire collects with it, too
    ),
    "a new release of matplotlib": (
        "requirements.lock",
        "\nmatplotlib==",
        "\nmatplotlib==9.",
        {"report"},
    ),
    "a new release of a linter": ("requirements.lock", "\nruff==", "\nruff==9.", set()),
}


@pytest.mark.parametrize("name", CODE)
def test_code_reruns_what_computes_with_it(edited: Path, name: str) -> None:
    """A changed formula or package reruns exactly what computes with it; a comment nothing."""
    file, old, new, expected = CODE[name]
    write(edited, file, old, new)
    assert would_rerun(edited) == expected


BASELINE_CODE = {
    "its own": ("fisor/baselines/bc.py", ".mean()", ".sum()", {BASELINE, EVALUATE_BASELINE}),
    "another's": ("fisor/baselines/diffusion_bc.py", "np.ones(", "2 * np.ones(", set()),
    "FISOR's": (
        "fisor/policies/agent.py",
        ".max(axis=0)",
        ".mean(axis=0)",
        {EVALUATE},
    ),
}


@pytest.mark.parametrize("name", BASELINE_CODE)
def test_a_baselines_file_reruns_that_baseline_alone(edited_with_baseline: Path, name: str) -> None:
    """Nothing of FISOR's, of another baseline's; nor does theirs rerun it."""
    file, old, new, expected = BASELINE_CODE[name]
    write(edited_with_baseline, file, old, new)
    assert would_rerun(edited_with_baseline) == (expected | {"report"} if expected else set())


TOY = '''"""A toy method: it pushes by the sign of the mean action of the data."""

import dataclasses

import jax.numpy as jnp

from fisor.agents import Agent
from fisor.baselines.baseline import Trained
from fisor.config.baseline import BaselineActing, BaselineTraining
from fisor.config.section import setting
from fisor.nn import checkpoint


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaselineTraining):
    scale: float = setting(gt=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(BaselineActing):
    shift: float = setting()


def train(config, problem, data, fit):
    mean = data.actions.mean(axis=0)

    def update(state, batch, key):
        state = jnp.sign(jnp.asarray(mean)) * config.scale
        return state, {"policy_loss": jnp.abs(state).sum()}

    states, curve = fit(lambda key: jnp.zeros(2), update, data.only("actions"), batch_size=4)
    return Trained({"push": states}, {}, curve)


def agent(directory, config, acting):
    shape = config["seeds"], config["action_dim"]
    params = checkpoint.load(directory, lambda: {"push": jnp.zeros(shape)})

    def act(params, memory, step, key):
        return jnp.clip(params["push"] + acting.shift, -1, 1), memory

    return Agent(params, config["action_dim"], tuple, act)
'''


def test_adding_a_method_is_a_module_and_two_lines(rerun: Path) -> None:
    """A toy method by one module, one line in the table, one entry in params.yaml.

    It trains and acts.

    Nothing else is stale. Its own acting parameter then reruns its evaluation alone.
    """
    (rerun / "fisor/baselines/toy.py").write_text(TOY)
    line = '    "BC": "fisor.baselines.bc",\n'
    write(rerun, "fisor/methods.py", line, f'{line}    "Toy": "fisor.baselines.toy",\n')
    train = {"training_steps": 4, "learning_rate": 0.1, "cosine_decay": False, "scale": 0.5}
    entry = {"Toy": {"train": train, "act": {"shift": 0.25}}}
    edit_yaml(rerun / "params.yaml", {"methods": entry, "baselines": ["Toy"]})
    toy = {f"{stage}@PointRobot-Toy" for stage in ("train_baseline", "evaluate_baseline")}
    assert would_rerun(rerun) == toy | {"report"}
    printed = checked(rerun, "dvc", "repro")
    ran = set(re.findall(r"Running stage '([^']+)'", printed))
    assert ran == toy | {"code", "code_baseline@Toy", "report"}
    metrics = json.loads((rerun / "reports/metrics.json").read_text())["PointRobot"]
    assert 0 <= metrics["Toy"]["episodes_with_a_violation"]["mean"] <= 1
    edit_yaml(rerun / "params.yaml", {"methods": {"Toy": {"act": {"shift": 0.5}}}})
    assert would_rerun(rerun) == {"evaluate_baseline@PointRobot-Toy", "report"}


# Runs that fail -----------------------------------------------------------------------------------


def test_more_candidates_really_rerun_two_stages(rerun: Path) -> None:
    """`dvc repro` after a change of N runs evaluate and report and nothing else."""
    edit_yaml(rerun / "params.yaml", {"N": 3})
    printed = checked(rerun, "dvc", "repro")
    ran = re.findall(r"Running stage '([^']+)'", printed)
    assert ran == ["code", EVALUATE, "report"]


def test_unknown_task_is_refused_with_the_list(edited: Path) -> None:
    """A task that tasks.yaml lacks: the message lists those there are; nothing is left behind."""
    command = (sys.executable, "-m", "stages.acquire", "--task", "Nope", "--raw", "Nope.hdf5")
    result = run(edited, *command)
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
        assert not (worker / "data/raw").exists() or not list((worker / "data/raw").glob("*.hdf5"))
        checked(worker, "dvc", "push", "--run-cache")
        checked(rerun, "dvc", "pull", "--run-cache", "--allow-missing")
        ran = re.findall(r"Running stage '([^']+)'", checked(rerun, "dvc", "repro", "--pull"))
        assert ran == ["report"]
    finally:
        checked(rerun, "git", "reset", "--quiet", "--hard", "HEAD~1")
