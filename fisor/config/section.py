"""The base of all sections of the configuration: a frozen dataclass."""

import dataclasses
from typing import Any, ClassVar


def setting(*, by_task: bool = False, **bounds: Any) -> Any:
    """A field of a section. It has no default: params.yaml is the one place for defaults.

    Args:
        by_task: whether a task's `overrides` in tasks.yaml may set it.
        bounds: the allowed values, under pydantic's names: ge, gt, le, lt, min_length, ...
    """
    return dataclasses.field(metadata={"by_task": by_task, **bounds})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the configuration; its fields are the keys.

    Attributes:
        OVERRIDES: the key of a task's `overrides` that may set its values; none if empty.
        METHOD_PART: the part of a method's entry in params.yaml that may set its values, `train` or
            `act`; none if empty.
    """

    OVERRIDES: ClassVar[str] = ""
    METHOD_PART: ClassVar[str] = ""

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "strict": True,  # no text for a number, no number for true or false
        "allow_inf_nan": False,
    }

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The section's keys."""
        return tuple(field.name for field in dataclasses.fields(cls))

    @classmethod
    def names_from_params(cls) -> tuple[str, ...]:
        """The keys whose values are looked up at the top level of params.yaml."""
        return cls.names()

    @classmethod
    def names_by_task(cls) -> tuple[str, ...]:
        """The keys that a task may override."""
        fields = dataclasses.fields(cls)
        return tuple(field.name for field in fields if field.metadata.get("by_task"))
