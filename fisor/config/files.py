"""params.yaml and tasks.yaml as a whole, checked against the schema."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from fisor.config.acting import Acting
from fisor.config.checking import checked
from fisor.config.distillation import Distillation
from fisor.config.evaluation import Evaluation
from fisor.config.feasibility import Feasibility
from fisor.config.layers import (
    BASELINES,
    DISTILLED,
    PARAMS,
    POLICY,
    TASKS,
    filled,
    of_size,
    policy_of_size,
    read_params,
    task_entry,
)
from fisor.config.params import Params, one_step_of
from fisor.config.policy import Policy
from fisor.config.reward import Reward
from fisor.config.section import Section
from fisor.config.task import Task
from fisor.config.training import Common
from fisor.config.yaml_files import read_yaml
from fisor.errors import InputError

# What a task may override: the length and size of a run, and the rates that suit them. The method's
# own parameters (tau, gamma, ...) are set in params.yaml only, so that `dvc exp run -S tau=0.8` has
# an effect on every task.
OVERRIDABLE = {schema.OVERRIDES: schema for schema in (Feasibility, Reward, Policy, Evaluation)}
# Sections whose values a size sets: the same keys that a task may override.
SIZED = Feasibility, Reward, Policy
PARTS_OF_SIZE = BASELINES, DISTILLED, POLICY  # with values for these alone
Schemas = tuple[type[Section], type[Section]]  # of training and of acting
OF_POLICY: Schemas = (Policy, Acting)
OF_ONE_STEP: Schemas = (Distillation, Acting)


def load_params(path: str | Path = PARAMS) -> Params:
    """Read and check params.yaml.

    Args:
        path: the file.

    Returns:
        The parameters, before overrides by tasks and methods.

    Raises:
        InputError: a key (named) is unknown, missing, of another type or out of range.
    """
    values = read_params(path)
    params = checked(Params, values, path, say="parameter")
    keys = {name for schema in SIZED for name in schema.names_by_task()}
    for size, entry in params.sizes.items():
        if odd := sorted(keys ^ (entry.keys() - set(PARTS_OF_SIZE))):
            state = "is missing" if odd[0] in keys else "is unknown"
            raise InputError(
                f"{path}: `sizes.{size}.{odd[0]}` {state}; a size has: {', '.join(sorted(keys))}"
            )
        for name in PARTS_OF_SIZE:
            if not isinstance(entry.get(name), Mapping):
                raise InputError(f"{path}: `sizes.{size}.{name}` must hold `key: value` lines")
        _refuse_unknown(entry[POLICY], Policy.names_by_task(), path, f"sizes.{size}.{POLICY}")
    return params


def load_task(name: str, path: str | Path = TASKS) -> Task:
    """Read and check one entry of tasks.yaml.

    Args:
        name: the task's name, such as `PointRobot`.
        path: tasks.yaml.

    Returns:
        The task.

    Raises:
        InputError: there is no such task (the message lists all), or its entry is invalid.
    """
    entry = task_entry(name, read_yaml(path), path)
    return checked(Task, {**entry, "name": name}, path, name)


def check(
    baselines: Mapping[str, Callable[[], Schemas]],
    params_path: str | Path = PARAMS,
    tasks_path: str | Path = TASKS,
) -> Params:
    """Check all parameters of the tasks in `run` and of the methods that run.

    Args:
        baselines: sections of each known baseline, by name; called only if a baseline runs.
        params_path: params.yaml.
        tasks_path: tasks.yaml.

    Returns:
        params.yaml.

    Raises:
        InputError: a key is unknown or missing, or a value is of another type or out of range.
    """
    params, written = load_params(params_path), read_yaml(params_path)
    values = filled(written, params_path)
    if unknown := [method for method in params.baselines if method not in baselines]:
        known = ", ".join(baselines)
        raise InputError(f"{params_path}: there is no baseline `{unknown[0]}`; there are: {known}")
    schemas = {name: sections() for name, sections in baselines.items() if params.baselines}
    running = dict.fromkeys(params.policies, OF_POLICY)
    running |= {method: schemas[method] for method in params.baselines}
    running |= {one_step_of(policy): OF_ONE_STEP for policy in params.distilled}
    complete: dict[tuple[str, type[Section]], dict[str, Any]] = {}
    for method, sections in running.items():
        for schema in sections:
            # All methods share the common parameters: a policy needs critics of the same seeds.
            allowed = [name for name in schema.names() if name not in Common.names()]
            own = params.methods[method][schema.METHOD_PART]
            below = {name: values[name] for name in schema.names_from_params()}
            if of_policies := policy_of_size(schema, written):
                address = f"sizes.{params.size}.{POLICY}"
                below = _over(schema, below, of_policies, of_policies, params_path, address)
            address = f"methods.{method}.{schema.METHOD_PART}"
            entry = _over(schema, below, own, allowed, params_path, address)
            of_its_size = of_size(schema, values)
            address = f"sizes.{params.size}.{schema.OVERRIDES}"
            complete[method, schema] = _over(
                schema, entry, of_its_size, of_its_size, params_path, address
            )
    for policy in params.distilled:
        if complete[policy, Policy]["policy"] != "diffusion":
            raise InputError(
                f"{params_path}: `distilled` has `{policy}`, which is no diffusion policy: it acts "
                "in one pass already"
            )
    of_all = {
        BASELINES: {
            name for sections in schemas.values() for schema in sections
            for name in schema.names_by_task()
        },
        DISTILLED: set(Distillation.names_by_task()) if params.distilled else set(),
    }  # fmt: skip
    for key, names in of_all.items():
        if names:
            layer, address = params.sizes[params.size][key], f"sizes.{params.size}.{key}"
            _refuse_unknown(layer, names, params_path, address)
    for name in params.run:
        task = load_task(name, tasks_path)
        check_overrides(task, values, tasks_path)
        for method, schema in complete:
            if schema.OVERRIDES in of_all:
                layer = task.overrides.get(schema.OVERRIDES, {})
                address = f"{name}.overrides.{schema.OVERRIDES}"
                _refuse_unknown(layer, of_all[schema.OVERRIDES], tasks_path, address)
                own = {key: value for key, value in layer.items() if key in schema.names_by_task()}
                _over(schema, complete[method, schema], own, own, tasks_path, address)
    return params


def check_overrides(task: Task, params: Mapping[str, Any], path: str | Path = TASKS) -> None:
    """Check what a task overrides, except for baselines and one-step policies.

    Args:
        task: the task.
        params: the values of params.yaml.
        path: tasks.yaml.

    Raises:
        InputError: a key is unknown, or a value is of another type or out of range.
    """
    for key, values in task.overrides.items():
        address = f"{task.name}.overrides.{key}"
        if key in OVERRIDABLE:
            schema = OVERRIDABLE[key]
            below = {name: params[name] for name in schema.names_from_params()}
            _over(schema, below, values, schema.names_by_task(), path, address)
        elif key not in (BASELINES, DISTILLED):
            known = ", ".join((*OVERRIDABLE, BASELINES, DISTILLED))
            raise InputError(f"{path}: unknown key `{address}`; known: {known}")


def _over(
    schema: type[Section],
    below: Mapping[str, Any],
    layer: Mapping[str, Any],
    allowed: Iterable[str],
    file: str | Path,
    address: str,
) -> dict[str, Any]:
    """`layer` laid over the values below it, checked."""
    _refuse_unknown(layer, allowed, file, address)
    values = {**below, **layer}
    checked(schema, values, file, address, say="parameter")
    return values


def _refuse_unknown(
    layer: Iterable[str], allowed: Iterable[str], file: str | Path, address: str
) -> None:
    allowed = tuple(allowed)
    if unknown := [name for name in layer if name not in allowed]:
        known = ", ".join(allowed) or "none"
        raise InputError(f"{file}: `{address}.{unknown[0]}` cannot be set there; known: {known}")


def without_effect(task: Task, keys: Iterable[str]) -> list[str]:
    """Keys of params.yaml that a task overrides in every stage where it may.

    Args:
        task: the task.
        keys: names in params.yaml.
    """

    def is_overridden(key: str) -> bool:
        having = [name for name, schema in OVERRIDABLE.items() if key in schema.names_by_task()]
        return bool(having) and all(key in task.overrides.get(name, {}) for name in having)

    return [key for key in keys if is_overridden(key)]
