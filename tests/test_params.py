"""params.yaml and tasks.yaml: the repository's own, and every way in which they can be wrong."""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import ROOT

from fisor.config.acting import Acting
from fisor.config.baseline import BaselineActing, BaselineStage, BaselineTraining
from fisor.config.checking import checked
from fisor.config.data import AcquireStage, ConvertStage, LabelStage
from fisor.config.evaluation import EvaluationStage
from fisor.config.feasibility import FeasibilityStage
from fisor.config.files import OVERRIDABLE, check, load_params, load_task, without_effect
from fisor.config.layers import load, overrides_in_words
from fisor.config.params import Params
from fisor.config.policy import PolicyStage
from fisor.config.report import Certified
from fisor.config.reward import RewardStage
from fisor.config.section import Section, setting
from fisor.config.task import Task
from fisor.errors import InputError
from fisor.methods import BASELINE_SCHEMAS

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyTraining(BaselineTraining):
    """A baseline's section: what every training has, and a batch size of its own."""

    batch_size: int = setting(ge=1, by_task=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyActing(BaselineActing):
    """How it acts."""

    noise: float = setting(ge=0)


TOY = {"Toy": lambda: (ToyTraining, ToyActing)}
TOY_ENTRY = {
    "train": {
        "batch_size": 32, "learning_rate": 0.01, "training_steps": 10, "cosine_decay": False
    },
    "act": {"noise": 0.5},
}  # fmt: skip
OF_TASK = (AcquireStage, ConvertStage, LabelStage, FeasibilityStage, RewardStage, BaselineStage)
OF_METHOD = (PolicyStage, EvaluationStage, Acting)


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


# params.yaml --------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", Params.names())
def test_missing_parameter_is_named(name: str, tmp_path: Path) -> None:
    """No parameter has a default in the code: without its line it is asked for by name."""
    path = params_file(tmp_path, without=name)
    with pytest.raises(InputError, match=rf"params\.yaml: parameter `{name}` is missing"):
        load_params(path)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("tau", "0.9", "a valid number"),
        ("tau", True, "a valid number"),
        ("tau", None, "a valid number"),
        ("learning_rate", "3e-4", "a valid number"),  # what YAML makes of an exponent without point
        ("expert_return", "high", "a valid number"),
        ("expert_return", True, "a valid number"),
        ("seeds", 2.0, "a valid integer"),
        ("seeds", True, "a valid integer"),
        ("training_steps", "many", "a valid integer"),
        ("cosine_decay", 0, "a valid boolean"),
        ("timeouts_are_terminal", "yes", "a valid boolean"),
        ("run", "PointRobot", "a valid array"),
        ("methods", {"FISOR": 3}, "an object"),
        ("methods", [1], "an object"),
        ("policy_weights", "two", "'fisor', 'feasible_only', 'unconstrained' or 'imitation'"),
        ("policy_weights", 1, "'fisor', 'feasible_only', 'unconstrained' or 'imitation'"),
        ("policy", "tree", "'diffusion' or 'gaussian'"),
        ("sampler", "euler", "'ddpm' or 'dpm_solver_1'"),
        ("acting_rule", "best", "'lowest_violation' or 'best_feasible'"),
        ("feasibility", "both", "'reachability' or 'cost_value'"),
    ],
)
def test_mistyped_parameter_is_named(name: str, value: Any, expected: str, tmp_path: Path) -> None:
    """A value of another type is refused with file, parameter, value, and what is allowed."""
    path = params_file(tmp_path, **{name: value})
    message = rf"params\.yaml: `{name}[.\w]*` must be {expected}, not "
    with pytest.raises(InputError, match=message) as caught:
        load_params(path)
    given = value["FISOR"] if isinstance(value, dict) else value
    assert str(caught.value).endswith(repr(given))


@pytest.mark.parametrize(
    ("name", "value", "bounds"),
    [
        ("seeds", 0, "greater than or equal to 1"),
        ("seeds", 1001, "less than or equal to 1000"),
        ("data_share", 0, "greater than or equal to 0.000001"),
        ("data_share", 1.01, "less than or equal to 1"),
        ("cost_value_threshold", -0.001, "greater than or equal to 0"),
        ("M", 0, "greater than 0"),
        ("M", -1.0, "greater than 0"),
        ("tau", 0.5, "greater than 0.5"),
        ("tau", 1, "less than 1"),
        ("tau", float("nan"), "a finite number"),
        ("gamma", 1.0, "less than 1"),
        ("soft_update", 0.0, "greater than 0"),
        ("feasible_temperature", -0.1, "greater than or equal to 0"),
        ("feasible_temperature", float("inf"), "a finite number"),
        ("feasible_clip", 0.5, "greater than or equal to 1"),
        ("policy_dropout", 1.0, "less than or equal to 0.99"),
        ("training_steps", 0, "greater than or equal to 1"),
        ("margin", -0.1, "greater than or equal to 0"),
        ("proposals", -1, "greater than or equal to 0"),
        ("certificate_beta", 0, "greater than 0"),
        ("certificate_epsilon", 1, "less than 1"),
        ("evaluation_seed", -1, "greater than or equal to 0"),
        ("evaluation_seed", 2**31, "less than or equal to 1073741824"),
    ],
)
def test_out_of_range_parameter_is_named(
    name: str, value: float, bounds: str, tmp_path: Path
) -> None:
    """A value outside its bounds is refused with the parameter's name and the bound."""
    path = params_file(tmp_path, **{name: value})
    with pytest.raises(InputError, match=rf"params\.yaml: `{name}` must be {bounds}, not"):
        load_params(path)


def test_every_wrong_value_is_named_at_once(tmp_path: Path) -> None:
    """Two mistakes are two lines: nobody mends them one run at a time."""
    path = params_file(tmp_path, tau=2, N="many")
    with pytest.raises(InputError) as caught:
        load_params(path)
    assert sorted(str(caught.value).splitlines()) == [
        f"{path}: `N` must be a valid integer, not 'many'",
        f"{path}: `tau` must be less than 1, not 2",
    ]


@pytest.mark.parametrize(
    ("name", "value"), [("seeds", 1), ("seeds", 1000), ("policy_dropout", 0.99), ("T", 1000)]
)
def test_inclusive_bounds_are_allowed(name: str, value: float, tmp_path: Path) -> None:
    """The ends of an inclusive range belong to it."""
    assert getattr(load_params(params_file(tmp_path, **{name: value})), name) == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": []}, "`run` must have at least 1 item"),
        ({"run": ["A", "A"]}, "run must be a list without repeats"),
        ({"policies": ["FISOR", "FISOR"]}, "policies must be a list without repeats"),
        ({"policies": ["Nope"]}, "`Nope` has no entry in methods, which has: BC, "),
        ({"policies": ["BC"], "baselines": ["BC"]}, "`BC` is both in policies and in baselines"),
        (
            {"policies": [], "methods": {"FISOR": {"train": {}}}},
            "methods.FISOR must hold `train` and `act`",
        ),
        ({"dataset_hosts": ["ftp://a.example.org/"]}, "must begin with http:// or https://"),
        ({"dataset_hosts": ["https://a.example.org/", "/data"]}, "not '/data'"),
    ],
)
def test_lists_that_cannot_be_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """Lists and methods that contradict each other, with the value that does."""
    with pytest.raises(InputError, match=re.escape(message)):
        load_params(params_file(tmp_path, **changes))


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


# What each stage is told --------------------------------------------------------------------------


def section_of(folder: Path, schema: type[Section], method: str = "", task: str = "B") -> Any:
    """A stage's section by the files in a folder."""
    return load(schema, task, method, folder / "params.yaml", folder / "tasks.yaml")


@pytest.mark.parametrize("name", sorted(values_of("tasks.yaml")))
def test_every_task_of_the_repository_is_right(name: str, tmp_path: Path) -> None:
    """Each entry of tasks.yaml passes its checks and fills every stage's section."""
    shutil.copy(ROOT / "tasks.yaml", tmp_path)
    baselines = list(BASELINE_SCHEMAS)
    policies = [*values_of("params.yaml")["policies"], "gaussian"]
    params = params_file(tmp_path, run=[name], policies=policies, baselines=baselines)
    check(BASELINE_SCHEMAS, params, tmp_path / "tasks.yaml")
    for schema in (*OF_TASK, *OF_METHOD):
        section_of(tmp_path, schema, "FISOR", name)
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
    known = "known: feasibility, reward, policy, evaluation, baselines$"
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


# Methods ------------------------------------------------------------------------------------------


def method_files(folder: Path, overrides: Any = None, **methods: Any) -> tuple[Path, Path]:
    """params.yaml with a variant and a baseline, and a tasks.yaml that overrides nothing else."""
    entries = {
        "FISOR": {"train": {}, "act": {}},
        "variant": {
            "train": {"policy": "gaussian", "T": 3},
            "act": {"N": 4, "acting_rule": "best_feasible", "margin": 0.5},
        },
        "Toy": TOY_ENTRY,
    }
    values = {"run": ["B"], "policies": ["FISOR", "variant"], "baselines": ["Toy"]}
    params = params_file(folder, **values, methods=entries | methods)
    return params, tasks_file(folder, overrides=overrides or {})


def test_a_variant_changes_its_own_stages_only(tmp_path: Path) -> None:
    """Training by `train`, acting by `act`; FISOR beside it sees params.yaml."""
    check(TOY, *method_files(tmp_path))
    ours, variant = (section_of(tmp_path, PolicyStage, name) for name in ("FISOR", "variant"))
    assert (ours.policy, ours.T) == ("diffusion", 5)
    assert variant == dataclasses.replace(ours, policy="gaussian", T=3, method="variant")
    ours, variant = (section_of(tmp_path, Acting, name) for name in ("FISOR", "variant"))
    assert (ours.N, ours.acting_rule, ours.margin) == (16, "lowest_violation", 0.0)
    changed = {"N": 4, "acting_rule": "best_feasible", "margin": 0.5}
    assert variant == dataclasses.replace(ours, **changed)


def test_a_baseline_has_its_own_parameters_beside_the_common_ones(tmp_path: Path) -> None:
    """`seeds` is params.yaml's, `learning_rate` its own, and a task may set its sizes."""
    sizes = {"batch_size": 8, "training_steps": 9, "hidden_units": 4}  # the last is no key of it
    check(TOY | BASELINE_SCHEMAS, *method_files(tmp_path, {"baselines": sizes}))
    over = section_of(tmp_path, ToyTraining, "Toy")
    check(TOY, *method_files(tmp_path))
    own = section_of(tmp_path, ToyTraining, "Toy")
    assert (own.seeds, own.learning_rate, own.batch_size) == (3, 0.01, 32)
    assert over == dataclasses.replace(own, batch_size=8, training_steps=9)
    assert section_of(tmp_path, ToyActing, "Toy") == ToyActing(noise=0.5)


@pytest.mark.parametrize(
    ("method", "part", "values", "message"),
    [
        ("variant", "train", {"tau": 0.8}, "`methods.variant.train.tau` cannot be set there"),
        ("variant", "train", {"seeds": 1}, "`methods.variant.train.seeds` cannot be set there"),
        ("variant", "train", {"T": 0}, "`methods.variant.train.T` must be greater than or"),
        ("variant", "act", {"margin": -1}, "`methods.variant.act.margin` must be greater than or"),
        ("variant", "act", {"N": 0}, "`methods.variant.act.N` must be greater than or equal to 1"),
        ("Toy", "train", {}, "parameter `methods.Toy.train.batch_size` is missing"),
        ("Toy", "train", {"batch_size": 2, "seeds": 1}, "`methods.Toy.train.seeds` cannot be set"),
        ("Toy", "train", {"batch_size": 2, "size": 1}, "`methods.Toy.train.size` cannot be set"),
        ("Toy", "act", {}, "parameter `methods.Toy.act.noise` is missing"),
        ("Toy", "act", {"noise": -1}, "`methods.Toy.act.noise` must be greater than or equal to 0"),
        ("Toy", "act", {"N": 4}, "`methods.Toy.act.N` cannot be set there; known: noise"),
    ],
)
def test_a_methods_wrong_parameters_are_refused(
    method: str, part: str, values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """What a method may not set, must set, or sets out of range, by its place in params.yaml."""
    entry = {"train": {}, "act": {}} if method == "variant" else TOY_ENTRY
    files = method_files(tmp_path, **{method: {**entry, part: values}})
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        check(TOY, *files)
    assert str(raised.value).startswith(str(files[0]))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"sizes": 8}, "`B.overrides.baselines.sizes` cannot be set there"),
        ({"seeds": 8}, "`B.overrides.baselines.seeds` cannot be set there"),
        ({"batch_size": 0}, "`B.overrides.baselines.batch_size` must be greater than or equal"),
    ],
)
def test_a_tasks_wrong_values_for_baselines_are_refused(
    overrides: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """What no baseline has, or out of range, by its place in tasks.yaml."""
    with pytest.raises(InputError, match=re.escape(message)):
        check(TOY, *method_files(tmp_path, {"baselines": overrides}))


def test_an_unknown_baseline_is_refused(tmp_path: Path) -> None:
    """The message lists those there are."""
    with pytest.raises(InputError, match="there is no baseline `Toy`; there are: BC, DiffusionBC"):
        check(BASELINE_SCHEMAS, *method_files(tmp_path))


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
        ("evaluate", [EvaluationStage, Acting]),
        ("evaluate_baseline", [EvaluationStage, BaselineActing]),
    ],
)
def test_dvc_tracks_exactly_what_a_stage_is_told(stage: str, schemas: list[type[Section]]) -> None:
    """The keys in dvc.yaml are those of the stage's sections; here they stand in two places."""
    keys, of_task = set(), set()
    for schema in schemas:
        keys |= set(schema.names_from_params()) & set(Params.names())
        of_task |= set(schema.names()) & set(Task.names()) - {"name"}
        of_task |= {f"overrides.{schema.OVERRIDES}"} if schema.OVERRIDES else set()
        keys |= {f"methods.${{item.method}}.{schema.METHOD_PART}"} if schema.METHOD_PART else set()
    listed = values_of("dvc.yaml")["stages"][stage]["params"]
    tasks = [key for item in listed if isinstance(item, dict) for key in item["tasks.yaml"]]
    assert sorted(key for key in listed if isinstance(key, str)) == sorted(keys)
    assert sorted(tasks) == sorted(f"${{item.task}}.{key}" for key in of_task)


def test_dvc_tracks_what_the_report_is_told() -> None:
    """What runs, and the certificates' parameters."""
    what_runs = {"run", "policies", "baselines"}
    assert set(values_of("dvc.yaml")["stages"]["report"]["params"]) == what_runs | set(
        Certified.names()
    )
