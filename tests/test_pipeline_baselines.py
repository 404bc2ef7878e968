"""A baseline beside FISOR in the pipeline: what it leaves, what reruns it, how one is added."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import checked, edit_yaml, editing
from reruns import (
    BASELINE,
    BELOW_CRITICS,
    BELOW_EVALUATION,
    BELOW_FEASIBILITY,
    BELOW_POLICY,
    EVALUATE,
    EVALUATE_BASELINE,
    RECORD,
    RECORD_BASELINE,
    run_beside,
    would_rerun,
    write,
)


@pytest.fixture(scope="module")
def with_baseline(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with BC beside FISOR."""
    return run_beside(pipeline, tmp_path_factory.mktemp("baseline"), "baselines", "BC")


@pytest.fixture
def edited_with_baseline(with_baseline: Path) -> Iterator[Path]:
    """The project in small with BC beside FISOR."""
    with editing(with_baseline) as folder:
        yield folder


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


# What reruns it -----------------------------------------------------------------------------------


BASELINE_CHANGES = {
    # No critic of FISOR's, and nothing that only they read, touches a baseline.
    "tau": ({"tau": 0.8}, BELOW_CRITICS),
    "M": ({"M": 1}, BELOW_FEASIBILITY | {"label@PointRobot"}),
    "N": ({"N": 3}, BELOW_EVALUATION),
    "temperature": ({"feasible_temperature": 2}, BELOW_POLICY),
    "its own": (
        {"methods": {"BC": {"train": {"batch_size": 8}}}},
        {BASELINE, EVALUATE_BASELINE, RECORD_BASELINE, "report"},
    ),
    "seeds": ({"seeds": 1}, BELOW_CRITICS | {BASELINE, EVALUATE_BASELINE, RECORD_BASELINE}),
}


@pytest.mark.parametrize("name", BASELINE_CHANGES)
def test_a_baseline_depends_on_its_own_parameters(edited_with_baseline: Path, name: str) -> None:
    """Exactly the stages listed, of FISOR and of BC."""
    change, expected = BASELINE_CHANGES[name]
    edit_yaml(edited_with_baseline / "params.yaml", change)
    assert would_rerun(edited_with_baseline) == expected


BASELINE_CODE = {
    "its own": (
        "fisor/baselines/bc.py",
        ".mean()",
        ".sum()",
        {BASELINE, EVALUATE_BASELINE, RECORD_BASELINE},
    ),
    "another's": ("fisor/baselines/diffusion_bc.py", "np.ones(", "2 * np.ones(", set()),
    "FISOR's": (
        "fisor/policies/agent.py",
        ".max(axis=0)",
        ".mean(axis=0)",
        {EVALUATE, RECORD},
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


@pytest.mark.slow
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
    stages = "train_baseline", "evaluate_baseline", "record_baseline"
    toy = {f"{stage}@PointRobot-Toy" for stage in stages}
    assert would_rerun(rerun) == toy | {"report"}
    printed = checked(rerun, "dvc", "repro")
    ran = set(re.findall(r"Running stage '([^']+)'", printed))
    assert ran == toy | {"code", "code_baseline@Toy", "report"}
    metrics = json.loads((rerun / "reports/metrics.json").read_text())["PointRobot"]
    assert 0 <= metrics["Toy"]["episodes_with_a_violation"]["mean"] <= 1
    edit_yaml(rerun / "params.yaml", {"methods": {"Toy": {"act": {"shift": 0.5}}}})
    assert would_rerun(rerun) == toy - {"train_baseline@PointRobot-Toy"} | {"report"}
