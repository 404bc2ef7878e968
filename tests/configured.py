"""Sections of the configuration for tests: the repository's defaults, with changes."""

import dataclasses
from typing import Any, TypeVar

from project import ROOT

from fisor.config.files import load_params, load_task
from fisor.config.layers import typed
from fisor.config.section import Section

Schema = TypeVar("Schema", bound=Section)


def section(
    schema: type[Schema], task: str = "PointRobot", *, acquire: Any = None, **changes: Any
) -> Schema:
    """A stage's section from params.yaml and the task's facts, without its overrides."""
    params = dataclasses.asdict(load_params(ROOT / "params.yaml"))
    entry = load_task(task, ROOT / "tasks.yaml")
    facts = {name: getattr(entry, name) for name in entry.names()}
    facts["acquire"] = dataclasses.replace(entry.acquire, **acquire or {})
    known = params | {"method": "FISOR"} | facts | changes
    return schema(**{name: known[name] for name in schema.names()})


def configured(method: str, part: str, schema: type[Schema], **changes: Any) -> Schema:
    """A baseline's section from params.yaml: of `train` or of `act`, without a task's overrides."""
    params = load_params(ROOT / "params.yaml")
    known = dataclasses.asdict(params) | dict(params.methods[method][part]) | changes
    return typed(schema, {name: known[name] for name in schema.names()})
