"""params.yaml: the repository's own, and every way in which one can be wrong."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from config_files import params_file, values_of
from project import ROOT

from fisor.config.files import load_params
from fisor.config.params import Params
from fisor.config.yaml_files import parse_yaml
from fisor.errors import InputError

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


def test_what_is_not_in_the_paper_is_off() -> None:
    """Labels and weights are the paper's unless a parameter is changed."""
    params = load_params(ROOT / "params.yaml")
    assert params.violation_floor is None
    assert not params.normalise_advantages
    assert not params.balance_regions


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
        ("learning_rate", "3 e-4", "a valid number"),
        ("expert_return", "high", "a valid number"),
        ("expert_return", True, "a valid number"),
        ("seeds", 2.0, "a valid integer"),
        ("seeds", True, "a valid integer"),
        ("training_steps", "many", "a valid integer"),
        ("cosine_decay", 0, "a valid boolean"),
        ("normalise_advantages", "deviation", "a valid boolean"),
        ("balance_regions", 1, "a valid boolean"),
        ("violation_floor", "low", "a valid number"),
        ("timeouts_are_terminal", "yes", "a valid boolean"),
        ("run", "PointRobot", "a valid array"),
        ("methods", {"FISOR": 3}, "an object"),
        ("methods", [1], "an object"),
        (
            "policy_weights",
            "two",
            "'fisor', 'feasible_only', 'unconstrained', 'imitation' or 'best_of_episodes'",
        ),
        (
            "policy_weights",
            1,
            "'fisor', 'feasible_only', 'unconstrained', 'imitation' or 'best_of_episodes'",
        ),
        ("policy", "tree", "'diffusion' or 'gaussian'"),
        ("sampler", "euler", "'ddpm' or 'dpm_solver_1'"),
        ("acting_precision", "half", "'float32', 'tensorfloat32' or 'bfloat16'"),
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
        ("violation_floor", 0, "less than 0"),
        ("violation_floor", 0.2, "less than 0"),
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


@pytest.mark.parametrize("text", ["3e-05", "3E-5", "3.0e-5", "0.00003", "+3e-05"])
def test_numbers_as_dvc_writes_them(text: str, tmp_path: Path) -> None:
    """`dvc exp run -S learning_rate=0.00003` writes 3e-05, which YAML 1.1 takes for text."""
    path = params_file(tmp_path, learning_rate=1)
    path.write_text(path.read_text().replace("learning_rate: 1\n", f"learning_rate: {text}\n", 1))
    assert load_params(path).learning_rate == 3e-5
    assert parse_yaml(f"{{a: {text}, b: e5, c: 3e-05x}}") == {"a": 3e-5, "b": "e5", "c": "3e-05x"}
