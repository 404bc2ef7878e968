"""What a baseline is told: by params.yaml what all trainings have in common, else by its entry."""

import dataclasses
from typing import ClassVar

from fisor.config.section import Section
from fisor.config.training import Common, Training


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineStage(Section):
    """What stage train_baseline knows of its task.

    Attributes:
        name: the task's.
        horizon_steps: time limit of an episode.
        cost_limit: cost per episode.
    """

    name: str
    horizon_steps: int
    cost_limit: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineTraining(Training):
    """Parameters of training, all its own but the common ones; the methods' `Config` extend it."""

    OVERRIDES: ClassVar = "baselines"
    METHOD_PART: ClassVar = "train"

    @classmethod
    def names_from_params(cls) -> tuple[str, ...]:
        """The common ones."""
        return Common.names()


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineActing(Section):
    """Parameters of acting, all its own; the methods' `Acting` extend it."""

    METHOD_PART: ClassVar = "act"

    @classmethod
    def names_from_params(cls) -> tuple[str, ...]:
        """None."""
        return ()
