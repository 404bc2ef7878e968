"""The entries of params.yaml's `methods`: what a variant and a baseline may set, and must."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from config_files import params_file, section_of, tasks_file

from fisor.config.acting import Acting
from fisor.config.baseline import BaselineActing, BaselineTraining
from fisor.config.files import check
from fisor.config.policy import PolicyStage
from fisor.config.section import setting
from fisor.errors import InputError
from fisor.methods import BASELINE_SCHEMAS


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
