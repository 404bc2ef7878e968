"""What every stage that trains is told."""

import dataclasses
from typing import Literal

from fisor.config.section import Section, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Common(Section):
    """What all trainings of an experiment have in common, baselines' too.

    Attributes:
        seeds: training seeds 0, 1, ...; all train side by side.
        product_precision: what the operands of matrix products are rounded to.
        timeouts_are_terminal: whether a timeout ends an episode as a terminal state does.
        log_every_updates: interval of the training curve.
    """

    seeds: int = setting(ge=1, le=1000)
    product_precision: Literal["float32", "tensorfloat32", "bfloat16"] = setting()
    timeouts_are_terminal: bool = setting()
    log_every_updates: int = setting(ge=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training(Common):
    """Length and rate of a training.

    Attributes:
        training_steps: gradient steps.
        learning_rate: Adam's.
        cosine_decay: whether the learning rate falls to 0 over the run.
    """

    training_steps: int = setting(ge=1, by_task=True)
    learning_rate: float = setting(gt=0, lt=1, by_task=True)
    cosine_decay: bool = setting(by_task=True)
