"""Parameters of stage evaluate."""

import dataclasses
from typing import ClassVar

from fisor.config.section import Section, setting
from fisor.config.task import Scored


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation(Section):
    """Which episodes are run.

    Attributes:
        episodes: per training seed, all seeds from the same starts.
        evaluation_seed: seed of the starts and of the policies' randomness.
    """

    OVERRIDES: ClassVar = "evaluation"

    episodes: int = setting(ge=1, le=2**20, by_task=True)
    evaluation_seed: int = setting(ge=0, le=2**30)  # with the episodes added, still an int32


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationStage(Evaluation, Scored):
    """All that the stage reads.

    Attributes:
        record_observations: whether every observation is kept.
        method: name of the method that acts, such as FISOR.
    """

    record_observations: bool
    method: str
