"""The section of each stage: tasks.yaml and its overrides over params.yaml, and dvc.yaml's keys."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
from config_files import params_file, section_of, tasks_file, values_of
from project import ROOT

from fisor.config.acting import Acting
from fisor.config.baseline import BaselineActing, BaselineStage, BaselineTraining
from fisor.config.checking import checked
from fisor.config.data import AcquireStage, ConvertStage, LabelStage
from fisor.config.distillation import DistilStage
from fisor.config.evaluation import EvaluationStage
from fisor.config.feasibility import FeasibilityStage
from fisor.config.files import OVERRIDABLE, PARTS_OF_SIZE, SIZED, check, load_task, without_effect
from fisor.config.layers import overrides_in_words
from fisor.config.params import Params
from fisor.config.policy import PolicyStage
from fisor.config.recording import RecordStage
from fisor.config.report import Certified
from fisor.config.reward import RewardStage
from fisor.config.section import Section
from fisor.config.task import Task
from fisor.errors import InputError
from fisor.methods import BASELINE_SCHEMAS

OF_TASK = (AcquireStage, ConvertStage, LabelStage, FeasibilityStage, RewardStage, BaselineStage)
OF_METHOD = (PolicyStage, EvaluationStage, RecordStage, Acting)


# tasks.yaml ---------------------------------------------------------------------------------------


def test_unknown_task_lists_those_there_are(tmp_path: Path) -> None:
    """Asking for a task that is not in the table tells which ones are."""
    path = tasks_file(tmp_path)
    with pytest.raises(InputError, match=r"there is no task `C`; there are: A, B$"):
        load_task("C", path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"colour": 1}, r"unknown key `B\.colour`; known: "),
        ({"without": "cost_limit"}, r"key `B\.cost_limit` is missing"),
        ({"reference_returns": [2, 1]}, r"`B` reference_returns must be \[lowest, highest\]"),
        ({"reference_returns": [1]}, r"`B\.reference_returns\.1` is missing"),
        ({"reference_returns": "high"}, r"`B\.reference_returns` must be a valid array"),
        ({"acquire": {"source": "dsrl"}}, r"`B\.acquire` must hold `file` for `source: dsrl`"),
    ],
)
def test_wrong_task_entry_is_named(changes: dict, problem: str, tmp_path: Path) -> None:
    """A wrong entry is refused with task and key, and the other tasks of the file still load."""
    path = tasks_file(tmp_path, **changes)
    with pytest.raises(InputError, match=problem):
        load_task("B", path)
    assert load_task("A", path).name == "A"


# Stages' sections ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(values_of("tasks.yaml")))
def test_every_task_of_the_repository_is_right(name: str, tmp_path: Path) -> None:
    """Each entry of tasks.yaml passes its checks and fills every stage's section."""
    shutil.copy(ROOT / "tasks.yaml", tmp_path)
    baselines = list(BASELINE_SCHEMAS)
    policies = [*values_of("params.yaml")["policies"], "gaussian"]
    runs = {"run": [name], "policies": policies, "baselines": baselines, "distilled": ["FISOR"]}
    params = params_file(tmp_path, **runs)
    check(BASELINE_SCHEMAS, params, tmp_path / "tasks.yaml")
    for schema in (*OF_TASK, *OF_METHOD):
        section_of(tmp_path, schema, "FISOR", name)
    section_of(tmp_path, DistilStage, "FISOR-OneStep", name)
    for method, schemas in BASELINE_SCHEMAS.items():
        for schema in schemas():
            section_of(tmp_path, schema, method, name)


@pytest.mark.parametrize("schema", [*OF_TASK, *OF_METHOD])
def test_a_section_filled_without_checks_is_as_checked(
    schema: type[Section], tmp_path: Path
) -> None:
    """Stages fill sections by `load`, without pydantic: values and types are pydantic's."""
    shutil.copy(ROOT / "tasks.yaml", tmp_path)
    filled = section_of(params_file(tmp_path).parent, schema, "FISOR", "BallRun")
    by_pydantic = checked(schema, dataclasses.asdict(filled), "params.yaml")
    assert by_pydantic == filled
    assert repr(by_pydantic) == repr(filled)  # 5.0 and 5 are equal, but not the same


def test_whole_numbers_become_floats_and_lists_tuples(tmp_path: Path) -> None:
    """`cost_limit: 5` and `reference_returns: [0, 1]` have their fields' types in a stage, too."""
    params_file(tmp_path)
    tasks_file(tmp_path, reference_returns=[0, 1])
    section = section_of(tmp_path, ConvertStage)
    assert repr((section.cost_limit, section.reference_returns)) == "(5.0, (0.0, 1.0))"


def test_a_stage_names_a_missing_key(tmp_path: Path) -> None:
    """Where the files were not checked, a missing key is an error, too, by its name."""
    params_file(tmp_path, without="M")
    tasks_file(tmp_path)
    with pytest.raises(InputError, match=r"params\.yaml.*'M'"):
        section_of(tmp_path, LabelStage)
    with pytest.raises(InputError, match=r"`methods\.Nope\.train` is missing"):
        section_of(tmp_path, PolicyStage, "Nope")


@pytest.mark.parametrize("key", sorted(OVERRIDABLE))
@pytest.mark.parametrize("name", ["tau", "gamma", "M", "seeds", "feasible_temperature", "N"])
def test_task_may_not_override_a_method_parameter(key: str, name: str, tmp_path: Path) -> None:
    """The method's parameters are params.yaml's alone; an override of one is refused by name."""
    tasks = tasks_file(tmp_path, overrides={key: {name: values_of("params.yaml")[name]}})
    message = rf"tasks\.yaml: `B\.overrides\.{key}\.{name}` cannot be set there; known: "
    with pytest.raises(InputError, match=message):
        check({}, params_file(tmp_path, run=["B"]), tasks)


def test_unknown_keys_of_overrides_are_refused(tmp_path: Path) -> None:
    """What no stage has is named, with all that there are."""
    tasks = tasks_file(tmp_path, overrides={"plots": {}})
    known = "known: feasibility, reward, policy, evaluation, baselines, distilled$"
    with pytest.raises(InputError, match=rf"unknown key `B\.overrides\.plots`; {known}"):
        check({}, params_file(tmp_path, run=["B"]), tasks)


def test_override_lies_over_params_at_its_stage_alone(tmp_path: Path) -> None:
    """`training_steps` of the policy leaves the other stages as in params.yaml; it is told."""
    params_file(tmp_path)
    every = (FeasibilityStage, RewardStage, PolicyStage, EvaluationStage)

    def sections(overrides: dict[str, Any]) -> list[Any]:
        tasks_file(tmp_path, overrides=overrides)
        return [section_of(tmp_path, schema, "FISOR") for schema in every]

    without, with_it = sections({}), sections({"policy": {"training_steps": 7}})
    assert with_it[2] == dataclasses.replace(without[2], training_steps=7)
    assert [with_it[i] for i in (0, 1, 3)] == [without[i] for i in (0, 1, 3)]
    path = tmp_path / "tasks.yaml"
    assert (
        overrides_in_words(PolicyStage, "B", path) == f"{path} overrides for B: training_steps = 7"
    )
    assert overrides_in_words(RewardStage, "B", path) == ""


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("learning_rate", 1.5, "less than 1"),
        ("hidden_units", 0, "greater than or equal to 1"),
        ("training_steps", 10.0, "a valid integer"),
        ("cosine_decay", 1, "a valid boolean"),
    ],
)
def test_wrong_override_is_named(name: str, value: Any, expected: str, tmp_path: Path) -> None:
    """An override is checked as the parameter is; the message leads to its line."""
    tasks = tasks_file(tmp_path, overrides={"reward": {name: value}})
    message = rf"tasks\.yaml: `B\.overrides\.reward\.{name}` must be {expected}"
    with pytest.raises(InputError, match=message):
        check({}, params_file(tmp_path, run=["B"]), tasks)


def test_parameters_that_do_nothing_are_known() -> None:
    """Overridden wherever they may be; `training_steps` is left to one stage."""
    task = dataclasses.replace(
        load_task("BallRun", ROOT / "tasks.yaml"),
        overrides={
            "feasibility": {"hidden_units": 8, "training_steps": 4},
            "reward": {"hidden_units": 8, "training_steps": 4},
            "policy": {"policy_units": 8},
        },
    )
    keys = ["tau", "hidden_units", "training_steps", "policy_units", "policy_blocks"]
    assert without_effect(task, keys) == ["hidden_units", "policy_units"]


# dvc.yaml -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "schemas"),
    [
        ("acquire", [AcquireStage]),
        ("convert", [ConvertStage]),
        ("label", [LabelStage]),
        ("train_feasibility", [FeasibilityStage]),
        ("train_reward", [RewardStage]),
        ("train_policy", [PolicyStage]),
        ("train_baseline", [BaselineStage, BaselineTraining]),
        ("distil", [DistilStage]),
        ("evaluate", [EvaluationStage, Acting]),
        ("evaluate_baseline", [EvaluationStage, BaselineActing]),
        ("evaluate_distilled", [EvaluationStage, Acting]),
        ("record", [RecordStage]),
        ("record_baseline", [RecordStage]),
        ("record_distilled", [RecordStage]),
    ],
)
def test_dvc_tracks_exactly_what_a_stage_is_told(stage: str, schemas: list[type[Section]]) -> None:
    """The keys in dvc.yaml are those of the stage's sections; here they stand in two places."""
    keys, of_task = set(), set()
    for schema in schemas:
        keys |= set(schema.names_from_params()) & set(Params.names())
        if schema.OVERRIDES in {section.OVERRIDES for section in SIZED}:
            keys |= {f"sizes.${{size}}.{name}" for name in schema.names_by_task()}
        if schema.OVERRIDES in PARTS_OF_SIZE:
            keys |= {f"sizes.${{size}}.{schema.OVERRIDES}"}
        of_task |= set(schema.names()) & set(Task.names()) - {"name"}
        of_task |= {f"overrides.{schema.OVERRIDES}"} if schema.OVERRIDES else set()
        name = (
            "${item.policy}-OneStep"
            if stage.endswith(("distil", "distilled"))
            else "${item.method}"
        )
        keys |= {f"methods.{name}.{schema.METHOD_PART}"} if schema.METHOD_PART else set()
    listed = values_of("dvc.yaml")["stages"][stage]["params"]
    tasks = [key for item in listed if isinstance(item, dict) for key in item["tasks.yaml"]]
    assert sorted(key for key in listed if isinstance(key, str)) == sorted(keys)
    assert sorted(tasks) == sorted(f"${{item.task}}.{key}" for key in of_task)


def test_dvc_tracks_what_the_report_is_told() -> None:
    """What runs, and the certificates' parameters."""
    what_runs = {"run", "acquire_parts", "policies", "baselines", "distilled"}
    assert set(values_of("dvc.yaml")["stages"]["report"]["params"]) == what_runs | set(
        Certified.names()
    )
