"""Parameters of baselines: the common ones of params.yaml, all others from the method's entry."""

import dataclasses
from typing import ClassVar

from fisor.config.section import Section, setting
from fisor.config.task import Prompts
from fisor.config.training import Common, Training


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineStage(Section):
    """What stage train_baseline reads of its task.

    Attributes:
        name: name of the task.
        horizon_steps: time limit of an episode.
        cost_limit: limit of the cost per episode.
        prompts: published prompts, for methods that are conditioned on a return.
    """

    name: str
    horizon_steps: int
    cost_limit: float
    prompts: Prompts | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineTraining(Training):
    """Training parameters; all but the common ones are the method's own, in its `Config`."""

    OVERRIDES: ClassVar = "baselines"
    METHOD_PART: ClassVar = "train"

    @classmethod
    def names_from_params(cls) -> tuple[str, ...]:
        """The common parameters."""
        return Common.names()


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkTraining(BaselineTraining):
    """Parameters of most baselines: the batch size, and the size of their ReLU networks.

    Attributes:
        batch_size: rows per step.
        hidden_layers: hidden layers of each network.
        hidden_units: units of each hidden layer.
    """

    batch_size: int = setting(ge=1, by_task=True)
    hidden_layers: int = setting(ge=1, le=16, by_task=True)
    hidden_units: int = setting(ge=1, le=65536, by_task=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActorCriticTraining(NetworkTraining):
    """Further parameters of baselines with a policy and action values.

    `learning_rate` is the critics'.

    Attributes:
        actor_learning_rate: learning rate of the policy.
        gamma: discount.
        soft_update: update rate of the target networks, per step.
    """

    actor_learning_rate: float = setting(gt=0, lt=1, by_task=True)
    gamma: float = setting(gt=0, lt=1)
    soft_update: float = setting(gt=0, lt=1, by_task=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CriticTraining(ActorCriticTraining):
    """Further parameters of those that have reward values.

    Attributes:
        reward_scale: factor by which rewards are multiplied.
    """

    reward_scale: float = setting(gt=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineActing(Section):
    """Acting parameters; all are the method's own, in its `Acting`."""

    OVERRIDES: ClassVar = "baselines"
    METHOD_PART: ClassVar = "act"

    @classmethod
    def names_from_params(cls) -> tuple[str, ...]:
        """None."""
        return ()
