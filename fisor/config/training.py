"""Parameters of every training stage."""

import dataclasses
from typing import Literal

from fisor.config.section import Section, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Common(Section):
    """Parameters that all trainings of an experiment share, those of baselines included.

    Attributes:
        seeds: number of training seeds 0, 1, ..., which are trained in parallel.
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
    """Length and learning rate of a training.

    Attributes:
        training_steps: number of gradient steps.
        learning_rate: learning rate of Adam.
        cosine_decay: whether the learning rate decays to 0 over the run, as a cosine.
    """

    training_steps: int = setting(ge=1, by_task=True)
    learning_rate: float = setting(gt=0, lt=1, by_task=True)
    cosine_decay: bool = setting(by_task=True)
