"""The table of tasks: tasks.yaml read and checked. The file's head says what each key means.

The facts are data and not code so that DVC tracks them task by task: adding one reruns nothing
else.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fisor.errors import InputError

# Each is a module of fisor/envs.
SUITES = ("point_robot", "bullet_safety_gym", "safety_gymnasium", "metadrive", "gymnasium")

# What a task may override of params.yaml, and for which stage: how long and how large a run is,
# and the two rates that belong to a run's length. The method's parameters (tau, gamma, ...) are
# params.yaml's alone, so that `dvc exp run -S tau=0.8` acts on every task.
_CRITIC = (
    "hidden_layers",
    "hidden_units",
    "value_batch_size",
    "training_steps",
    "learning_rate",
    "cosine_decay",
    "soft_update",
)
OVERRIDABLE: Mapping[str, tuple[str, ...]] = {
    "feasibility": _CRITIC,
    "reward": _CRITIC,
    "policy": (
        "policy_blocks",
        "policy_units",
        "policy_batch_size",
        "training_steps",
        "policy_dropout",
        "draw_by_weight",
        "learning_rate",
        "cosine_decay",
        "soft_update",
    ),
    "evaluation": ("episodes",),
}


@dataclasses.dataclass(frozen=True)
class Task:
    """One entry of tasks.yaml.

    Attributes:
        name: its key.
        paper: whether it stands in the paper's Table 1.
        suite: who simulates it, one of `SUITES`.
        environment: its name in that suite.
        horizon_steps: time limit of an episode.
        cost_limit: cost per episode at which the normalised cost is 1.
        reference_returns: lowest and highest return of the dataset.
        dense_violation: whether h comes from the dataset.
        record_observations: whether evaluation keeps every observation.
        acquire: where the dataset comes from.
        overrides: of params.yaml, for each stage of `OVERRIDABLE`.
    """

    name: str
    paper: bool
    suite: str
    environment: str
    horizon_steps: int
    cost_limit: float
    reference_returns: tuple[float, float]
    dense_violation: bool
    record_observations: bool
    acquire: Mapping[str, Any]
    overrides: Mapping[str, Mapping[str, Any]]


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file, or an `InputError` that names the file."""
    try:
        with open(path, encoding="utf-8") as file:
            values = yaml.safe_load(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not YAML ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: must hold `key: value` lines")
    return values


def load_task(name: str, path: str | Path = "tasks.yaml") -> Task:
    """Look a task up in the table.

    Args:
        name: the task's name, such as `PointRobot`.
        path: tasks.yaml.

    Returns:
        The task.

    Raises:
        InputError: no such task (the message lists those there are), or its entry is not right.
    """
    table = read_yaml(path)
    if name not in table:
        raise InputError(
            f"{path}: there is no task `{name}`; there are: {', '.join(sorted(table))}"
        )
    entry, where = table[name], f"{path}: {name}"
    expected = {field.name for field in dataclasses.fields(Task)} - {"name"}
    if not isinstance(entry, dict):
        raise InputError(f"{where}: must hold {', '.join(sorted(expected))}")
    if unknown := sorted(map(str, entry.keys() - expected)):
        raise InputError(
            f"{where}: unknown key `{unknown[0]}`; known: {', '.join(sorted(expected))}"
        )
    if missing := sorted(expected - entry.keys()):
        raise InputError(f"{where}: `{missing[0]}` is missing")
    if entry["suite"] not in SUITES:
        raise InputError(f"{where}.suite: `{entry['suite']}` is none of {', '.join(SUITES)}")
    _refuse_odd_values(entry, where)
    return Task(name=name, **{**entry, "reference_returns": tuple(entry["reference_returns"])})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refuse_odd_values(entry: Mapping[str, Any], where: str) -> None:
    """Refuse values of a task's entry that are of another type or out of range, by name."""
    if not isinstance(entry["environment"], str):
        raise InputError(f"{where}.environment: must be a name, not {entry['environment']!r}")
    horizon = entry["horizon_steps"]
    if not isinstance(horizon, int) or isinstance(horizon, bool) or horizon < 1:
        raise InputError(f"{where}.horizon_steps: must be a whole number >= 1, not {horizon!r}")
    if not _is_number(entry["cost_limit"]) or entry["cost_limit"] < 0:
        raise InputError(f"{where}.cost_limit: must be >= 0, not {entry['cost_limit']!r}")
    for name in ("paper", "dense_violation", "record_observations"):
        if not isinstance(entry[name], bool):
            raise InputError(f"{where}.{name}: must be true or false, not {entry[name]!r}")
    returns = entry["reference_returns"]
    pair = isinstance(returns, list) and len(returns) == 2 and all(map(_is_number, returns))
    if not pair or not returns[0] < returns[1]:
        raise InputError(f"{where}.reference_returns: must be [lowest, highest], not {returns!r}")
    for name in ("acquire", "overrides"):
        if not isinstance(entry[name], dict):
            raise InputError(f"{where}.{name}: must hold `key: value` lines, not {entry[name]!r}")
    for stage, overrides in entry["overrides"].items():
        if stage not in OVERRIDABLE:
            known = ", ".join(OVERRIDABLE)
            raise InputError(f"{where}.overrides: unknown stage `{stage}`; known: {known}")
        if not isinstance(overrides, dict):
            raise InputError(f"{where}.overrides.{stage}: must hold `key: value` lines")
        if unknown := sorted(map(str, overrides.keys() - set(OVERRIDABLE[stage]))):
            known = ", ".join(OVERRIDABLE[stage])
            raise InputError(f"{where}.overrides.{stage}: `{unknown[0]}` is none of {known}")
