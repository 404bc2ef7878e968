"""YAML: files read, and values written on one line."""

import re
from pathlib import Path
from typing import Any

import yaml

from fisor.errors import InputError


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's, in C where there is one; it reads `3e-05` as a number, as DVC writes it."""


# YAML 1.1, which PyYAML follows, takes a number without a point for text.
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, Loader=Loader)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        InputError: the file cannot be read, or holds no mapping.
    """
    try:
        with open(path, encoding="utf-8") as file:
            values = yaml.load(file, Loader=Loader)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not YAML ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: must hold `key: value` lines")
    return values


def shown_value(value: Any) -> str:
    """A parameter's value as YAML writes it on one line: `true`, `0.8`, `[BallRun, CarRun]`."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("...\n").strip()
