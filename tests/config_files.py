"""The repository's params.yaml and tasks.yaml with changes, as files of a test's own."""

from pathlib import Path
from typing import Any

import yaml
from project import ROOT

from fisor.config.layers import load
from fisor.config.section import Section


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


def section_of(folder: Path, schema: type[Section], method: str = "", task: str = "B") -> Any:
    """A stage's section by the files in a folder."""
    return load(schema, task, method, folder / "params.yaml", folder / "tasks.yaml")
