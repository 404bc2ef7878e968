"""A study's file without anything special, to be changed."""

from pathlib import Path
from typing import Any

import yaml

from fisor.studies.study import Study, load_study

PLAIN: dict[str, Any] = {
    "title": "A title",
    "reproduces": "Figure 4",
    "about": "What to look for.",
    "tasks": ["PointRobot"],
    "grid": {"tau": [0.8, 0.9], "N": [1, 16]},
    "columns": ["normalised_reward", "normalised_cost"],
    "figure": "lines",
}


def plain_study(folder: Path, **changes: Any) -> Study:
    """The plain study with the given keys changed, written and loaded; None leaves a key out."""
    values = {k: v for k, v in (PLAIN | changes).items() if v is not None}
    path = folder / "plain.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return load_study(path)
