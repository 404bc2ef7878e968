"""The base of all sections of the configuration: a frozen dataclass."""

import dataclasses
import operator
import typing
from typing import Any, ClassVar, Literal

BOUNDS = {
    "ge": ("at least", operator.ge),
    "gt": ("above", operator.gt),
    "le": ("at most", operator.le),
    "lt": ("below", operator.lt),
}


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

    def refuse_out_of_bounds(self) -> None:
        """Check values that come from a program; those of YAML files are checked by pydantic.

        Raises:
            ValueError: a number is out of its bounds, or a value is none of the choices.
        """
        kinds = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), kinds[field.name]
            choices = typing.get_args(kind)
            if typing.get_origin(kind) is Literal and value not in choices:
                known = ", ".join(choices)
                raise ValueError(f"{field.name} must be one of {known}, not {value}")
            if value is None and type(None) in choices:
                continue
            for bound, (text, within) in BOUNDS.items():
                if bound in field.metadata and not within(value, field.metadata[bound]):
                    limit = field.metadata[bound]
                    raise ValueError(f"{field.name} must be {text} {limit}, not {value}")
