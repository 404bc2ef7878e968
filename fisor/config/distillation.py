"""Parameters of stage distil: a policy's sampler becomes a network of one forward pass."""

import dataclasses
from typing import ClassVar, Literal

from fisor.config.baseline import NetworkTraining
from fisor.config.section import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distillation(NetworkTraining):
    """The training of a one-step policy; its network has `hidden_layers` of `hidden_units`.

    Attributes:
        sampler: the teacher's sampler that is distilled.
        teacher_samples: actions that the teacher draws, once, for all updates to learn from.
    """

    OVERRIDES: ClassVar = "distilled"

    sampler: Literal["ddpm", "dpm_solver_1"] = setting()
    teacher_samples: int = setting(ge=1, by_task=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistilStage(Distillation):
    """All that the stage reads.

    Attributes:
        name: name of the task.
        method: name of the one-step policy, such as FISOR-OneStep.
    """

    name: str
    method: str
