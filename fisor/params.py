"""Parameters: params.yaml, checked, in a frozen dataclass; a task's overrides laid over it."""

import dataclasses
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fisor.errors import InputError
from fisor.tasks import OVERRIDABLE, Task, load_task, read_yaml

# What a method may change of params.yaml: how the policy is drawn from the critics, and acts.
METHOD_MAY_CHANGE = (
    "policy",
    "policy_weights",
    "feasible_temperature",
    "infeasible_temperature",
    "feasible_clip",
    "infeasible_clip",
    "T",
    "N",
    "sampler",
)


def _number(low: float, high: float = math.inf, *, exclusive: bool = False) -> Any:
    """A field in [low, high]; `exclusive` leaves the ends out."""
    return dataclasses.field(metadata={"low": low, "high": high, "exclusive": exclusive})


def _addresses() -> Any:
    """A field of web addresses."""
    return dataclasses.field(metadata={"prefixes": ("http://", "https://")})


def _one_of(*words: str) -> Any:
    """A field that is one of some words."""
    return dataclasses.field(metadata={"words": words})


def _free() -> Any:
    """A field without bounds. No field has a default: params.yaml is their one place."""
    return dataclasses.field()


@dataclasses.dataclass(frozen=True)
class Params:
    """params.yaml, whose comments say what each one means; the names are the paper's (Table 5)."""

    run: tuple[str, ...] = _free()
    methods: tuple[str, ...] = _free()
    method_changes: Mapping[str, Mapping[str, Any]] = _free()
    seeds: int = _number(1, 1000)
    dataset_hosts: tuple[str, ...] = _addresses()
    drop_bad_rows: bool = _free()
    data_share: float = _number(1e-6, 1)
    data_share_seed: int = _number(0)
    expert_return: float | None = _number(-math.inf)
    M: float = _number(0, exclusive=True)
    feasibility: str = _one_of("reachability", "cost_value")
    cost_value_threshold: float = _number(0)
    tau: float = _number(0.5, 1, exclusive=True)
    gamma: float = _number(0, 1, exclusive=True)
    soft_update: float = _number(0, 1, exclusive=True)
    learning_rate: float = _number(0, 1, exclusive=True)
    cosine_decay: bool = _free()
    value_batch_size: int = _number(1)
    hidden_layers: int = _number(1, 16)
    hidden_units: int = _number(1, 65536)
    timeouts_are_terminal: bool = _free()
    training_steps: int = _number(1)
    product_precision: str = _one_of("float32", "tensorfloat32", "bfloat16")
    policy: str = _one_of("diffusion", "gaussian")
    policy_weights: str = _one_of("fisor", "feasible_only", "unconstrained", "imitation", "ones")
    feasible_temperature: float = _number(0)
    infeasible_temperature: float = _number(0)
    feasible_clip: float = _number(1)
    infeasible_clip: float = _number(1)
    T: int = _number(1, 1000)
    draw_by_weight: bool = _free()
    policy_batch_size: int = _number(1)
    policy_blocks: int = _number(1, 64)
    policy_units: int = _number(1, 65536)
    policy_dropout: float = _number(0, 0.99)
    N: int = _number(1, 65536)
    sampler: str = _one_of("ddpm", "dpm_solver_1")
    episodes: int = _number(1, 2**20)
    evaluation_seed: int = _number(0, 2**30)  # with the episodes added, still an int32
    log_every_updates: int = _number(1)


def _checked(name: str, value: Any, field: dataclasses.Field, source: str) -> Any:
    """`value` in the field's type, or an error that names the key."""

    def refuse(expected: str) -> InputError:
        return InputError(f"{source}: `{name}` must be {expected}, not {value!r}")

    if field.type == tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise refuse("a list of one or more names")
        if len(set(value)) != len(value):
            raise refuse("a list without repeats")
        prefixes = field.metadata.get("prefixes", ("",))
        if not all(entry.startswith(prefixes) for entry in value):
            raise refuse(f"a list of names that begin with {' or '.join(prefixes)}")
        return tuple(value)
    if field.type is bool:
        if not isinstance(value, bool):
            raise refuse("true or false")
        return value
    if field.type is str:
        if value not in field.metadata["words"]:
            raise refuse(f"one of {', '.join(field.metadata['words'])}")
        return value
    if name == "method_changes":
        if not isinstance(value, dict) or not all(isinstance(c, dict) for c in value.values()):
            raise refuse("a line `METHOD: {parameter: value, ...}` for each method")
        return value
    whole, optional = field.type is int, field.type == float | None
    if optional and value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise refuse("a number or null" if optional else "a whole number" if whole else "a number")
    low, high, exclusive = (field.metadata[k] for k in ("low", "high", "exclusive"))
    inside = low < value < high if exclusive else low <= value <= high
    if not (inside and math.isfinite(value)):
        above, below = ("above", "below") if exclusive else ("at least", "at most")
        bounds = f"{above} {low}" + (f" and {below} {high}" if high < math.inf else "")
        raise refuse(bounds)
    return value if whole else float(value)


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and check params.yaml.

    Args:
        path: the file.

    Returns:
        The parameters, without any task's overrides.

    Raises:
        InputError: a key (named) is unknown, missing, of another type or out of range.
    """
    values = read_yaml(path)
    fields = {field.name: field for field in dataclasses.fields(Params)}
    if unknown := sorted(map(str, values.keys() - fields.keys())):
        raise InputError(f"{path}: unknown parameter `{unknown[0]}`; known: {', '.join(fields)}")
    if missing := [name for name in fields if name not in values]:
        raise InputError(f"{path}: parameter `{missing[0]}` is missing")
    params = Params(**{k: _checked(k, values[k], f, str(path)) for k, f in fields.items()})
    for method in params.methods:
        if method not in params.method_changes:
            known = ", ".join(params.method_changes)
            raise InputError(
                f"{path}: `methods` has `{method}`, which `method_changes` lacks; it has: {known}"
            )
    for method, changes in params.method_changes.items():
        if unknown := sorted(map(str, changes.keys() - set(METHOD_MAY_CHANGE))):
            known = ", ".join(METHOD_MAY_CHANGE)
            raise InputError(
                f"{path}: `method_changes.{method}`: `{unknown[0]}` is none of {known}"
            )
    return params


def load_for_stage(
    stage: str,
    task_name: str,
    method: str | None = None,
    params_path: str | Path = "params.yaml",
    tasks_path: str | Path = "tasks.yaml",
) -> tuple[Params, Task]:
    """The parameters of one stage of one task: params.yaml, with what task and method change.

    What the task overrides is said on standard error, since `-S` of its name then does nothing.

    Args:
        stage: a key of `fisor.tasks.OVERRIDABLE`, such as `policy`.
        task_name: a name in tasks.yaml.
        method: a name in `method_changes`; None for a stage that all methods share.
        params_path: params.yaml.
        tasks_path: tasks.yaml.

    Returns:
        Parameters and task.

    Raises:
        InputError: as `load_params` and `load_task`, an override is out of range, or
            `method_changes` has no such method.
    """
    params, task = load_params(params_path), load_task(task_name, tasks_path)
    assert stage in OVERRIDABLE, stage
    fields = {field.name: field for field in dataclasses.fields(Params)}
    overrides = {
        name: _checked(
            f"{task_name}.overrides.{stage}.{name}", value, fields[name], str(tasks_path)
        )
        for name, value in task.overrides.get(stage, {}).items()
    }
    if overrides:
        listed = ", ".join(f"{name} = {value}" for name, value in overrides.items())
        print(f"{task_name}, {stage}: by its overrides in {tasks_path}, {listed}", file=sys.stderr)
    if method is not None:
        if method not in params.method_changes:
            known = ", ".join(params.method_changes)
            raise InputError(f"{params_path}: `method_changes` has no `{method}`; it has: {known}")
        overrides |= {
            name: _checked(f"method_changes.{method}.{name}", value, fields[name], str(params_path))
            for name, value in params.method_changes[method].items()
        }
    return dataclasses.replace(params, **overrides), task
