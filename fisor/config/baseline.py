"""What a baseline is told: by params.yaml what all trainings have in common, else by its entry."""

import dataclasses
from typing import ClassVar

from fisor.config.section import Section, setting
from fisor.config.task import Prompts
from fisor.config.training import Common, Training


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineStage(Section):
    """What stage train_baseline knows of its task.

    Attributes:
        name: the task's.
        horizon_steps: time limit of an episode.
        cost_limit: cost per episode.
        prompts: published ones, for methods that are asked for a return.
    """

    name: str
    horizon_steps: int
    cost_limit: float
    prompts: Prompts | None


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
class NetworkTraining(BaselineTraining):
    """What most baselines have: batches, and networks of so many ReLU layers.

    Attributes:
        batch_size: rows a step.
        hidden_layers: of every network.
        hidden_units: of each layer.
    """

    batch_size: int = setting(ge=1, by_task=True)
    hidden_layers: int = setting(ge=1, le=16, by_task=True)
    hidden_units: int = setting(ge=1, le=65536, by_task=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CriticTraining(NetworkTraining):
    """What the baselines with action values have beside that; `learning_rate` is the critics'.

    Attributes:
        actor_learning_rate: the policy's.
        gamma: discount.
        soft_update: share by which the target networks move in each step.
        reward_scale: rewards are multiplied by it.
    """

    actor_learning_rate: float = setting(gt=0, lt=1, by_task=True)
    gamma: float = setting(gt=0, lt=1)
    soft_update: float = setting(gt=0, lt=1, by_task=True)
    reward_scale: float = setting(gt=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineActing(Section):
    """Parameters of acting, all its own; the methods' `Acting` extend it."""

    METHOD_PART: ClassVar = "act"

    @classmethod
    def names_from_params(cls) -> tuple[str, ...]:
        """None."""
        return ()
