"""Sizes by name: what `size` gives, what lies over it, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from project import ROOT, edit_yaml

from fisor.baselines import bc, trebi
from fisor.config.feasibility import FeasibilityStage
from fisor.config.files import check, load_params
from fisor.config.layers import load
from fisor.config.policy import PolicyStage
from fisor.errors import InputError
from fisor.methods import BASELINE_SCHEMAS, method_module


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The repository's params.yaml and tasks.yaml, to be changed."""
    for name in ("params.yaml", "tasks.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path / "params.yaml", tmp_path / "tasks.yaml"


def entry_of(size: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["sizes"][size]


@pytest.mark.parametrize("size", ["paper", "quick"])
def test_a_size_fills_what_is_null(size: str, files: tuple[Path, Path]) -> None:
    """On a task without overrides, in every stage, by the numbers in the file itself."""
    edit_yaml(files[0], {"size": size})
    of_all = entry_of(size)
    for schema, known in ((FeasibilityStage, of_all), (PolicyStage, of_all | of_all["policy"])):
        section = load(schema, "BallRun", "FISOR", *files)
        for name in set(schema.names()) & known.keys() - {"policy"}:
            assert getattr(section, name) == known[name], name
    assert load_params(files[0]).hidden_units == of_all["hidden_units"]


def test_a_size_has_values_for_the_policy_alone(files: tuple[Path, Path]) -> None:
    """Over them lie params.yaml's own value, then the method's entry, then the task's overrides."""

    def steps() -> tuple[int, int]:
        critic = load(FeasibilityStage, "BallRun", "", *files)
        policy = load(PolicyStage, "BallRun", "FISOR", *files)
        check(BASELINE_SCHEMAS, *files)
        return critic.training_steps, policy.training_steps

    own = {"quick": {"training_steps": 4, "policy": {"training_steps": 2}}}
    edit_yaml(files[0], {"size": "quick", "sizes": own})
    assert steps() == (4, 2)
    edit_yaml(files[0], {"training_steps": 5})
    assert steps() == (5, 5)
    edit_yaml(files[0], {"methods": {"FISOR": {"train": {"training_steps": 6}}}})
    assert steps() == (5, 6)
    edit_yaml(files[1], {"BallRun": {"overrides": {"policy": {"training_steps": 7}}}})
    assert steps() == (5, 7)


def test_a_value_in_params_wins_over_the_size(files: tuple[Path, Path]) -> None:
    """As `dvc exp run -S size=quick -S hidden_units=128` sets it."""
    edit_yaml(files[0], {"size": "quick", "hidden_units": 128})
    quick = entry_of("quick")
    section = load(FeasibilityStage, "BallRun", "", *files)
    assert (section.hidden_units, section.training_steps) == (128, quick["training_steps"])


def test_a_tasks_overrides_win_over_the_size(files: tuple[Path, Path]) -> None:
    edit_yaml(files[0], {"size": "quick"})
    edit_yaml(files[1], {"BallRun": {"overrides": {"feasibility": {"training_steps": 7}}}})
    assert load(FeasibilityStage, "BallRun", "", *files).training_steps == 7


def test_a_size_changes_baselines_where_it_says_so(files: tuple[Path, Path]) -> None:
    """Their own entries stand under `paper`, which changes none."""
    own = yaml.safe_load(files[0].read_text())["methods"]["BC"]["train"]
    paper = load(bc.Config, "BallRun", "BC", *files)
    assert {name: getattr(paper, name) for name in own} == own
    edit_yaml(files[0], {"size": "quick"})
    quick = load(bc.Config, "BallRun", "BC", *files)
    changed = {**own, **{k: v for k, v in entry_of("quick")["baselines"].items() if k in own}}
    assert {name: getattr(quick, name) for name in own} == changed
    assert quick.training_steps < paper.training_steps


def test_a_size_and_a_task_set_how_a_baseline_acts(files: tuple[Path, Path]) -> None:
    """The plans of TREBI, of which so many are drawn in each step."""
    edit_yaml(files[0], {"size": "quick"})
    quick = load(trebi.Acting, "BallRun", "TREBI", *files)
    assert quick.plans == entry_of("quick")["baselines"]["plans"] < 64
    edit_yaml(files[1], {"BallRun": {"overrides": {"baselines": {"plans": 3}}}})
    assert load(trebi.Acting, "BallRun", "TREBI", *files).plans == 3


@pytest.mark.parametrize("limit", [None, 3.0])
@pytest.mark.parametrize("method", ["CPQ", "BCQ-Lag", "COptiDICE", "Saute-TD3BC", "BC-L"])
def test_a_methods_cost_limit_wins_over_the_tasks(
    method: str, limit: float | None, files: tuple[Path, Path]
) -> None:
    """Both are called `cost_limit`; null stays null, for which the method takes the task's."""
    edit_yaml(files[0], {"methods": {method: {"train": {"cost_limit": limit}}}})
    config: Any = load(method_module(method).Config, "BallRun", method, *files)
    assert config.cost_limit == limit


WRONG = {
    "unknown size": ({"size": "huge"}, "`sizes` has no size 'huge'; it has: paper, quick"),
    "no name": ({"size": 3}, "`sizes` has no size 3"),
    "no mapping": ({"sizes": {"quick": 5}, "size": "quick"}, "`sizes` has no size 'quick'"),
    "unknown key": ({"sizes": {"quick": {"speed": 1}}}, "`sizes.quick.speed` is unknown"),
    "wrong value": ({"sizes": {"paper": {"hidden_units": 0}}}, "`hidden_units`"),
    "no baselines": ({"sizes": {"quick": {"baselines": 3}}}, "`sizes.quick.baselines` must hold"),
    "unknown key of policies": (
        {"sizes": {"paper": {"policy": {"speed": 1}}}},
        "`sizes.paper.policy.speed` cannot be set",
    ),
    "wrong value of policies": (
        {"sizes": {"paper": {"policy": {"training_steps": 0}}}},
        "`sizes.paper.policy.training_steps`",
    ),
    "unknown key of baselines": (
        {"sizes": {"paper": {"baselines": {"speed": 1}}}, "baselines": ["BC"]},
        "`sizes.paper.baselines.speed` cannot be set",
    ),
    "wrong value of baselines": (
        {"sizes": {"paper": {"baselines": {"hidden_units": -1}}}, "baselines": ["BC"]},
        "`sizes.paper.baselines.hidden_units`",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_size_is_refused(name: str, files: tuple[Path, Path]) -> None:
    """The message names the file, the key and what there is."""
    change, message = WRONG[name]
    edit_yaml(files[0], change)
    with pytest.raises(InputError) as refused:
        check(BASELINE_SCHEMAS, *files)
    assert str(files[0]) in str(refused.value)
    assert message in str(refused.value)


def test_a_size_lacks_no_key(files: tuple[Path, Path]) -> None:
    values = yaml.safe_load(files[0].read_text())
    del values["sizes"]["quick"]["hidden_units"]
    files[0].write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=r"`sizes.quick.hidden_units` is missing; a size has: "):
        load_params(files[0])
