"""The parameters of a stage: params.yaml with its size, the method's entry, the task's overrides.

Later values take precedence. They are not checked here: stage `code` has checked the files
(`fisor.config.files`), with a library that is not needed on a machine that only trains.
"""

import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from fisor.config.section import Section
from fisor.config.yaml_files import read_yaml, shown_value
from fisor.errors import InputError

Schema = TypeVar("Schema", bound=Section)

PARAMS, TASKS = "params.yaml", "tasks.yaml"
# In a size, and in a task's overrides: for all baselines, all one-step policies, all others.
BASELINES, DISTILLED, POLICY = "baselines", "distilled", "policy"


def read_params(path: str | Path = PARAMS) -> dict[str, Any]:
    """params.yaml, with the values of its `size` for its keys that are null.

    Raises:
        InputError: the file is no YAML mapping, or there is no such size.
    """
    return filled(read_yaml(path), path)


def filled(written: Mapping[str, Any], path: str | Path = PARAMS) -> dict[str, Any]:
    """params.yaml as it is written, with the values of its `size` for its keys that are null.

    Raises:
        InputError: there is no such size.
    """
    size = sized(written, path)
    return {key: size.get(key) if value is None else value for key, value in written.items()}


def sized(params: Mapping[str, Any], path: str | Path = PARAMS) -> Mapping[str, Any]:
    """The values of the size in use.

    Raises:
        InputError: there is no such size.
    """
    for name in ("size", "sizes"):
        if name not in params:
            raise InputError(f"{path}: parameter `{name}` is missing")
    size, sizes = params["size"], params["sizes"]
    entry = sizes.get(size) if isinstance(sizes, Mapping) and isinstance(size, str) else None
    if not isinstance(entry, Mapping):
        known = ", ".join(map(str, sizes)) if isinstance(sizes, Mapping) else "none"
        raise InputError(f"{path}: `sizes` has no size {size!r}; it has: {known}")
    return entry


def of_size(schema: type[Section], params: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the size in use for the section of a baseline or a one-step policy."""
    if schema.OVERRIDES not in (BASELINES, DISTILLED):
        return {}
    values = sized(params).get(schema.OVERRIDES, {})
    return {name: values[name] for name in schema.names_by_task() if name in values}


def policy_of_size(schema: type[Section], written: Mapping[str, Any]) -> dict[str, Any]:
    """What the size in use has for policies alone, for the keys that are null in params.yaml.

    Args:
        schema: a section; those of other stages get nothing.
        written: params.yaml as it is written.
    """
    if schema.OVERRIDES != POLICY:
        return {}
    values = sized(written).get(POLICY, {})
    names = [name for name in schema.names_by_task() if name in values]
    return {name: values[name] for name in names if written.get(name) is None}


def task_entry(name: str, table: Mapping[str, Any], path: str | Path = TASKS) -> Mapping[str, Any]:
    """A task's mapping in tasks.yaml.

    Raises:
        InputError: there is no such task.
    """
    if name not in table:
        raise InputError(f"{path}: there is no task `{name}`; there are: {', '.join(table)}")
    if not isinstance(table[name], Mapping):
        raise InputError(f"{path}: `{name}` must hold `key: value` lines, not {table[name]!r}")
    return table[name]


def overridden(schema: type[Section], entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a task's entry overrides in a section."""
    values = entry.get("overrides", {}).get(schema.OVERRIDES, {})
    return {name: values[name] for name in schema.names_by_task() if name in values}


def overrides_in_words(schema: type[Section], task: str, path: str | Path = TASKS) -> str:
    """One line on what a task overrides (for which `-S` has no effect there); empty if nothing."""
    values = overridden(schema, task_entry(task, read_yaml(path), path))
    settings = ", ".join(f"{name} = {shown_value(value)}" for name, value in values.items())
    return settings and f"{path} overrides for {task}: {settings}"


def load(
    schema: type[Schema],
    task: str,
    method: str = "",
    params_path: str | Path = PARAMS,
    tasks_path: str | Path = TASKS,
) -> Schema:
    """Read a section for a task and a method.

    Args:
        schema: the section's class.
        task: a name in tasks.yaml.
        method: a name in `methods` of params.yaml, for sections with parameters of methods.
        params_path: params.yaml.
        tasks_path: tasks.yaml.

    Raises:
        InputError: there is no such task or method, or a key is unknown or missing.
    """
    written = read_yaml(params_path)
    params = filled(written, params_path)
    entry = task_entry(task, read_yaml(tasks_path), tasks_path)
    # First, as a method's own `cost_limit` takes precedence over the task's.
    facts = {**entry, "name": task, "method": method}
    values = {name: facts[name] for name in schema.names() if name in facts}
    values |= {name: params[name] for name in schema.names_from_params() if name in params}
    values |= policy_of_size(schema, written)
    if schema.METHOD_PART:
        values |= method_part(params, method, schema.METHOD_PART, params_path)
    values |= of_size(schema, params)
    values |= overridden(schema, entry)
    try:
        return typed(schema, values)
    except TypeError as error:  # a key is unknown or missing
        raise InputError(f"{params_path}, {tasks_path}: {error}") from error


def method_part(
    params: Mapping[str, Any], method: str, part: str, path: str | Path = PARAMS
) -> Mapping[str, Any]:
    """A method's own values in params.yaml.

    Raises:
        InputError: the method has no entry there.
    """
    try:
        return params["methods"][method][part]
    except (KeyError, TypeError):
        raise InputError(f"{path}: `methods.{method}.{part}` is missing") from None


def typed(kind: Any, value: Any) -> Any:
    """Values from YAML in a section's types: 1 becomes 1.0 for a float, a list becomes a tuple."""
    if isinstance(kind, type) and issubclass(kind, Section) and isinstance(value, Mapping):
        kinds = typing.get_type_hints(kind)
        return kind(**{name: typed(kinds.get(name), item) for name, item in value.items()})
    if isinstance(kind, types.UnionType):
        return None if value is None else typed(typing.get_args(kind)[0], value)
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        inner = typing.get_args(kind)[0]
        return tuple(typed(inner, item) for item in value)
    return float(value) if kind is float and isinstance(value, int) else value
