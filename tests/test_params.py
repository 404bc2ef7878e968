"""params.yaml and tasks.yaml: the repository's own, and every way in which they can be wrong."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import ROOT

from fisor.errors import InputError
from fisor.params import Params, load_for_stage, load_params
from fisor.tasks import OVERRIDABLE, load_task

TABLE_5 = {
    "learning_rate": 3e-4,
    "value_batch_size": 256,
    "policy_batch_size": 2048,
    "hidden_layers": 2,
    "hidden_units": 256,
    "tau": 0.9,
    "feasible_temperature": 3,
    "infeasible_temperature": 5,
    "gamma": 0.99,
    "soft_update": 0.001,
    "feasible_clip": 100,
    "infeasible_clip": 150,
    "T": 5,
    "N": 16,
    "training_steps": 1_000_000,
}
APPENDIX_D3 = {"M": 25}


def values_of(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def params_file(folder: Path, without: str = "", **changes: Any) -> Path:
    """The repository's params.yaml with changes, and without one key, as a file of its own."""
    values = {k: v for k, v in {**values_of("params.yaml"), **changes}.items() if k != without}
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def tasks_file(folder: Path, without: str = "", **changes: Any) -> Path:
    """A tasks.yaml of two tasks, A as the repository's PointRobot and B with changes."""
    entry = values_of("tasks.yaml")["PointRobot"]
    changed = {k: v for k, v in {**entry, **changes}.items() if k != without}
    path = folder / "tasks.yaml"
    path.write_text(yaml.safe_dump({"A": entry, "B": changed}), encoding="utf-8")
    return path


def test_defaults_are_those_of_table_5() -> None:
    """Every number of the paper's Table 5, and M of Appendix D.3, is params.yaml's."""
    params = dataclasses.asdict(load_params(ROOT / "params.yaml"))
    expected = {**TABLE_5, **APPENDIX_D3}
    assert {name: params[name] for name in expected} == expected


def test_numbers_have_their_fields_types(tmp_path: Path) -> None:
    """A whole number given for a real parameter becomes a float; counts stay whole."""
    params = load_params(params_file(tmp_path, feasible_temperature=4, seeds=2))
    assert isinstance(params.feasible_temperature, float)
    assert params.feasible_temperature == 4.0
    assert isinstance(params.seeds, int)
    assert params.run == ("PointRobot",)


@pytest.mark.parametrize("name", sorted(values_of("tasks.yaml")))
def test_every_task_of_the_repository_loads(name: str) -> None:
    """Each entry of tasks.yaml passes its checks, and its overrides are in range at every stage."""
    task = load_task(name, ROOT / "tasks.yaml")
    assert task.name == name
    assert task.reference_returns[0] < task.reference_returns[1]
    for stage in OVERRIDABLE:
        params, _ = load_for_stage(stage, name, None, ROOT / "params.yaml", ROOT / "tasks.yaml")
        for key, value in task.overrides.get(stage, {}).items():
            assert getattr(params, key) == value


@pytest.mark.parametrize(("value", "expected"), [(None, None), (220, 220.0), (-1.5, -1.5)])
def test_a_bound_may_be_none(value: Any, expected: float | None, tmp_path: Path) -> None:
    """`expert_return` is a number or null, and a whole number becomes a float."""
    given = load_params(params_file(tmp_path, expert_return=value)).expert_return
    assert given == expected
    assert type(given) is type(expected)


def test_run_names_tasks_of_the_table() -> None:
    """What params.yaml runs is in tasks.yaml."""
    assert set(load_params(ROOT / "params.yaml").run) <= values_of("tasks.yaml").keys()


def test_unknown_parameter_is_named(tmp_path: Path) -> None:
    """A key that is no parameter, such as a misspelt one, is refused by its name."""
    path = params_file(tmp_path, tua=0.9)
    with pytest.raises(InputError, match=r"params\.yaml: unknown parameter `tua`; known: .*tau"):
        load_params(path)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Params)])
def test_missing_parameter_is_named(name: str, tmp_path: Path) -> None:
    """No parameter has a default in the code: without its line it is asked for by name."""
    path = params_file(tmp_path, without=name)
    with pytest.raises(InputError, match=rf"params\.yaml: parameter `{name}` is missing"):
        load_params(path)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("tau", "0.9", "a number"),
        ("tau", True, "a number"),
        ("tau", None, "a number"),
        ("learning_rate", "3e-4", "a number"),  # what YAML makes of an exponent without a point
        ("expert_return", "high", "a number or null"),
        ("expert_return", True, "a number or null"),
        ("seeds", 2.0, "a whole number"),
        ("seeds", True, "a whole number"),
        ("training_steps", "many", "a whole number"),
        ("cosine_decay", 0, "true or false"),
        ("timeouts_are_terminal", "yes", "true or false"),
        ("run", "PointRobot", "a list of one or more names"),
        ("run", [], "a list of one or more names"),
        ("methods", [1], "a list of one or more names"),
        ("run", ["PointRobot", "PointRobot"], "a list without repeats"),
    ],
)
def test_mistyped_parameter_is_named(name: str, value: Any, expected: str, tmp_path: Path) -> None:
    """A value of another type is refused with the parameter's name and the value."""
    path = params_file(tmp_path, **{name: value})
    with pytest.raises(InputError, match=rf"`{name}` must be {expected}, not ") as caught:
        load_params(path)
    assert str(caught.value).endswith(repr(value))


@pytest.mark.parametrize(
    ("name", "value", "bounds"),
    [
        ("seeds", 0, "at least 1 and at most 1000"),
        ("data_share", 0, "at least 1e-06 and at most 1"),
        ("data_share", 1.01, "at least 1e-06 and at most 1"),
        ("cost_value_threshold", -0.001, "at least 0"),
        ("M", 0, "above 0"),
        ("M", -1.0, "above 0"),
        ("tau", 0.5, "above 0.5 and below 1"),
        ("tau", 1, "above 0.5 and below 1"),
        ("tau", float("nan"), "above 0.5 and below 1"),
        ("gamma", 1.0, "above 0 and below 1"),
        ("soft_update", 0.0, "above 0 and below 1"),
        ("feasible_temperature", -0.1, "at least 0"),
        ("feasible_temperature", float("inf"), "at least 0"),
        ("feasible_clip", 0.5, "at least 1"),
        ("policy_dropout", 1.0, "at least 0 and at most 0.99"),
        ("training_steps", 0, "at least 1"),
        ("evaluation_seed", -1, "at least 0 and at most 1073741824"),
    ],
)
def test_out_of_range_parameter_is_named(
    name: str, value: float, bounds: str, tmp_path: Path
) -> None:
    """A value outside its bounds is refused with the parameter's name and the bounds."""
    path = params_file(tmp_path, **{name: value})
    with pytest.raises(InputError, match=rf"params\.yaml: `{name}` must be {bounds}, not"):
        load_params(path)


@pytest.mark.parametrize(
    ("name", "value"), [("seeds", 1), ("seeds", 1000), ("policy_dropout", 0.99), ("T", 1000)]
)
def test_inclusive_bounds_are_allowed(name: str, value: float, tmp_path: Path) -> None:
    """The ends of an inclusive range belong to it."""
    assert getattr(load_params(params_file(tmp_path, **{name: value})), name) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tau: [", "is not YAML"),
        ("- tau", "must hold `key: value` lines"),
        (None, "cannot be read"),
    ],
)
def test_file_that_is_no_mapping_is_named(text: str | None, problem: str, tmp_path: Path) -> None:
    """A params.yaml that is absent, no YAML or no mapping is refused with the file's name."""
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"params\.yaml: {problem}"):
        load_params(path)


def test_unknown_task_lists_those_there_are(tmp_path: Path) -> None:
    """Asking for a task that is not in the table tells which ones are."""
    path = tasks_file(tmp_path)
    with pytest.raises(InputError, match=r"there is no task `C`; there are: A, B$"):
        load_task("C", path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"colour": 1}, "B: unknown key `colour`"),
        ({"without": "cost_limit"}, "B: `cost_limit` is missing"),
        ({"suite": "chess"}, r"B\.suite: `chess` is none of point_robot"),
        ({"reference_returns": [2, 1]}, r"B\.reference_returns: must be \[lowest, highest\]"),
        ({"reference_returns": [1]}, r"B\.reference_returns: must be \[lowest, highest\]"),
        ({"reference_returns": "high"}, r"B\.reference_returns: must be \[lowest, highest\]"),
        ({"overrides": {"plots": {}}}, r"B\.overrides: unknown stage `plots`"),
    ],
)
def test_wrong_task_entry_is_named(changes: dict, problem: str, tmp_path: Path) -> None:
    """A wrong entry is refused with task and key, and the other tasks of the file still load."""
    path = tasks_file(tmp_path, **changes)
    with pytest.raises(InputError, match=problem):
        load_task("B", path)
    assert load_task("A", path).name == "A"


@pytest.mark.parametrize("stage", sorted(OVERRIDABLE))
@pytest.mark.parametrize("name", ["tau", "gamma", "M", "seeds", "feasible_temperature", "N"])
def test_task_may_not_override_a_method_parameter(stage: str, name: str, tmp_path: Path) -> None:
    """The method's parameters are params.yaml's alone; an override of one is refused by name."""
    path = tasks_file(tmp_path, overrides={stage: {name: values_of("params.yaml")[name]}})
    with pytest.raises(InputError, match=rf"B\.overrides\.{stage}: `{name}` is none of "):
        load_task("B", path)


def test_everything_overridable_is_a_parameter() -> None:
    """No stage lists a name for overriding that params.yaml does not have."""
    parameters = {field.name for field in dataclasses.fields(Params)}
    for names in OVERRIDABLE.values():
        assert set(names) <= parameters
        assert len(set(names)) == len(names)


def test_override_lies_over_params_at_its_stage_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`training_steps` of the policy leaves the other stages and parameters as in params.yaml.

    Where it acts, it is said.
    """
    tasks = tasks_file(tmp_path, overrides={"policy": {"training_steps": 7}})
    given = load_params(ROOT / "params.yaml")
    policy, task = load_for_stage("policy", "B", None, ROOT / "params.yaml", tasks)
    said = capsys.readouterr().err
    assert said == f"B, policy: by its overrides in {tasks}, training_steps = 7\n"
    reward, _ = load_for_stage("reward", "B", None, ROOT / "params.yaml", tasks)
    assert policy == dataclasses.replace(given, training_steps=7)
    assert reward == given
    assert task.name == "B"
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("learning_rate", 1.5, "above 0 and below 1"),
        ("hidden_units", 0, "at least 1"),
        ("training_steps", 10.0, "a whole number"),
        ("cosine_decay", 1, "true or false"),
    ],
)
def test_wrong_override_is_named(name: str, value: Any, expected: str, tmp_path: Path) -> None:
    """An override is checked as the parameter is; the message leads to its line."""
    tasks = tasks_file(tmp_path, overrides={"reward": {name: value}})
    message = rf"tasks\.yaml: `B\.overrides\.reward\.{name}` must be {expected}"
    with pytest.raises(InputError, match=message):
        load_for_stage("reward", "B", None, ROOT / "params.yaml", tasks)


@pytest.mark.parametrize("host", ["ftp://a.example.org/", "file:///data", "a.example.org", "/data"])
def test_hosts_are_on_the_web(host: str, tmp_path: Path) -> None:
    """A host that is neither http nor https is refused with the key and the value."""
    path = params_file(tmp_path, dataset_hosts=["https://good.example.org/", host])
    with pytest.raises(InputError, match="`dataset_hosts` must be a list of names that begin with"):
        load_params(path)


# Methods ------------------------------------------------------------------------------------------


def test_a_method_changes_its_own_stages_only(tmp_path: Path) -> None:
    """BC trains by weights 1 and acts by one candidate; FISOR sees the defaults."""
    files = ROOT / "params.yaml", ROOT / "tasks.yaml"
    for stage in ("policy", "evaluation"):
        cloning, _ = load_for_stage(stage, "PointRobot", "BC", *files)
        assert (cloning.policy_weights, cloning.N) == ("ones", 1)
        ours, _ = load_for_stage(stage, "PointRobot", "FISOR", *files)
        assert (ours.policy_weights, ours.N) == ("fisor", 16)


def test_an_ablation_of_the_policy_may_be_a_method(tmp_path: Path) -> None:
    """Policy, weights and sampler can be a method's, beside FISOR with the defaults."""
    changes = {"policy": "gaussian", "policy_weights": "feasible_only", "sampler": "dpm_solver_1"}
    path = params_file(tmp_path, method_changes={"FISOR": {}, "BC": {}, "ablated": changes})
    for method, expected in (("ablated", changes), ("FISOR", {})):
        params, _ = load_for_stage("policy", "BallRun", method, path, ROOT / "tasks.yaml")
        assert params == dataclasses.replace(load_params(path), **expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["FISOR", "Nope"]}, "`Nope`, which `method_changes` lacks; it has: "),
        ({"method_changes": {"FISOR": {"tau": 0.8}}}, "`method_changes.FISOR`: `tau` is none of"),
        ({"method_changes": {"FISOR": 3}}, "`method_changes` must be a line `METHOD:"),
        ({"method_changes": [1]}, "`method_changes` must be a line `METHOD:"),
        (
            {"policy_weights": "two"},
            "`policy_weights` must be one of fisor, feasible_only, "
            "unconstrained, imitation, ones, not 'two'",
        ),
        ({"policy": "tree"}, "`policy` must be one of diffusion, gaussian, not 'tree'"),
        ({"sampler": "euler"}, "`sampler` must be one of ddpm, dpm_solver_1, not 'euler'"),
        ({"feasibility": "both"}, "`feasibility` must be one of reachability, cost_value, not"),
        ({"policy_weights": 1}, "`policy_weights` must be one of fisor"),
    ],
)
def test_wrong_methods_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """A method that is not described, or described by what no method may change, is named."""
    with pytest.raises(InputError, match=re.escape(message)):
        load_params(params_file(tmp_path, **changes))


def test_a_methods_bad_value_is_refused(tmp_path: Path) -> None:
    """A value out of range is named by its place."""
    path = params_file(tmp_path, method_changes={"FISOR": {"N": 0}})
    with pytest.raises(InputError, match=r"`method_changes\.FISOR\.N` must be at least 1"):
        load_for_stage("evaluation", "PointRobot", "FISOR", path, ROOT / "tasks.yaml")


def test_an_unknown_method_is_refused() -> None:
    """A stage called by hand for a method that there is not."""
    with pytest.raises(InputError, match="`method_changes` has no `Nope`; it has: FISOR, BC"):
        load_for_stage("policy", "PointRobot", "Nope", ROOT / "params.yaml", ROOT / "tasks.yaml")
