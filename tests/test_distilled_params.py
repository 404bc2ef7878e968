"""`distilled` in params.yaml: which policies, its own parameters, sizes, and what is refused."""

import re
from pathlib import Path
from typing import Any

import pytest
from config_files import params_file, section_of, tasks_file, values_of
from project import edit_yaml

from fisor.config.distillation import DistilStage
from fisor.config.files import check, load_params
from fisor.errors import InputError

ONE_STEP = "FISOR-OneStep"


def files(folder: Path, change: Any, overrides: Any = None) -> tuple[Path, Path]:
    """The repository's parameters with FISOR distilled and a change, for task B."""
    params = params_file(folder, run=["B"], policies=["FISOR"], distilled=["FISOR"])
    edit_yaml(params, change)
    return params, tasks_file(folder, overrides=overrides or {})


def test_a_one_step_policy_runs_beside_its_teacher(tmp_path: Path) -> None:
    """Under its own name, with the parameters of its entry and the common ones."""
    check({}, *files(tmp_path, {}))
    assert load_params(tmp_path / "params.yaml").running == ("FISOR", ONE_STEP)
    own = values_of("params.yaml")["methods"][ONE_STEP]["train"]
    section = section_of(tmp_path, DistilStage, ONE_STEP)
    assert {name: getattr(section, name) for name in own} == own
    assert section.seeds == 3


def test_size_and_task_lie_over_its_entry(tmp_path: Path) -> None:
    """`quick` replaces what it names, and a task's overrides replace that."""
    check({}, *files(tmp_path, {"size": "quick"}, {"distilled": {"training_steps": 7}}))
    section = section_of(tmp_path, DistilStage, ONE_STEP)
    quick = values_of("params.yaml")["sizes"]["quick"]["distilled"] | {"training_steps": 7}
    assert {name: getattr(section, name) for name in quick} == quick


OWN = f"methods.{ONE_STEP}"
WRONG: dict[str, tuple[Any, Any, str]] = {
    "no policy": (
        {"distilled": ["BC"]},
        {},
        "distilled must name policies, which are: FISOR; not `BC`",
    ),
    "twice": ({"distilled": ["FISOR"] * 2}, {}, "distilled must be a list without repeats"),
    "no entry": (
        {"policies": ["FISOR", "gaussian"], "distilled": ["gaussian"]},
        {},
        "`gaussian-OneStep` has no entry in methods",
    ),
    "a Gaussian": (
        {"policy": "gaussian"},
        {},
        "`distilled` has `FISOR`, which is no diffusion policy: it acts in one pass already",
    ),
    "unknown key": ({"methods": {ONE_STEP: {"train": {"T": 3}}}}, {}, f"`{OWN}.train.T` cannot be"),
    "wrong sampler": (
        {"methods": {ONE_STEP: {"train": {"sampler": "euler"}}}},
        {},
        f"`{OWN}.train.sampler` must be 'ddpm' or 'dpm_solver_1'",
    ),
    "wrong number": (
        {"methods": {ONE_STEP: {"train": {"teacher_samples": 0}}}},
        {},
        f"`{OWN}.train.teacher_samples` must be greater than or equal to 1",
    ),
    "wrong acting": ({"methods": {ONE_STEP: {"act": {"N": 0}}}}, {}, f"`{OWN}.act.N` must be"),
    "size without it": (
        {"sizes": {"quick": {"distilled": 3}}},
        {},
        "`sizes.quick.distilled` must hold",
    ),
    "size's key": (
        {"sizes": {"paper": {"distilled": {"sampler": "ddpm"}}}},
        {},
        "`sizes.paper.distilled.sampler` cannot be set there",
    ),
    "size's value": (
        {"sizes": {"paper": {"distilled": {"batch_size": 0}}}},
        {},
        "`sizes.paper.distilled.batch_size` must be greater",
    ),
    "task's key": (
        {},
        {"distilled": {"seeds": 3}},
        "`B.overrides.distilled.seeds` cannot be set there",
    ),
    "task's value": (
        {},
        {"distilled": {"hidden_layers": 0}},
        "`B.overrides.distilled.hidden_layers` must be",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name: str, tmp_path: Path) -> None:
    """Before anything runs: the list, the key or the value, by its place."""
    change, overrides, message = WRONG[name]
    with pytest.raises(InputError, match=re.escape(message)):
        check({}, *files(tmp_path, change, overrides))
