"""Values from YAML against a section's schema, by pydantic; errors name file, key and value."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from fisor.config.section import Section
from fisor.errors import InputError

Schema = TypeVar("Schema", bound=Section)


def checked(
    schema: type[Schema], values: Any, file: str | Path, address: str = "", say: str = "key"
) -> Schema:
    """Check values and return them as a section.

    Args:
        schema: the section's class.
        values: as read from YAML: a mapping from the section's keys.
        file: the file that they are from, for the message.
        address: their place in the file, such as `PointRobot.acquire`.
        say: what the message calls a key.

    Raises:
        InputError: keys are unknown or missing, or values have another type or are out of bounds;
            one line for each.
    """
    place = f"{address}." if address else ""
    if not isinstance(values, Mapping):
        raise InputError(f"{file}: `{address}` must hold `key: value` lines, not {values!r}")
    try:
        # As JSON, since the lists of YAML represent tuples.
        return pydantic.TypeAdapter(schema).validate_json(json.dumps(values, default=str))
    except pydantic.ValidationError as error:
        lines = []
        for fault in error.errors(include_url=False):
            key = (place + ".".join(str(part) for part in fault["loc"])).rstrip(".")
            if fault["type"] == "unexpected_keyword_argument":
                known = ", ".join(schema.names())
                lines.append(f"{file}: unknown {say} `{key}`; known: {known}")
            elif fault["type"] == "missing":
                lines.append(f"{file}: {say} `{key}` is missing")
            else:
                text = re.sub(r"^\w+ should", "must", fault["msg"].removeprefix("Value error, "))
                given = "" if fault["type"] == "value_error" else f", not {fault['input']!r}"
                subject = f"`{key}` " if key else ""
                lines.append(f"{file}: {subject}{text}{given}")
        raise InputError("\n".join(lines)) from None
