"""Parameters of stage train_reward."""

import dataclasses
from typing import ClassVar

from fisor.config.critics import Critic


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reward(Critic):
    """The reward critic; it has no parameters of its own."""

    OVERRIDES: ClassVar = "reward"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardStage(Reward):
    """All that the stage reads.

    Attributes:
        name: name of the task.
        horizon_steps: time limit of an episode, which scales the rewards.
    """

    name: str
    horizon_steps: int
