"""Parameters of stages record and record_baseline."""

import dataclasses

from fisor.config.evaluation import EvaluationStage
from fisor.config.section import Section, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording(Section):
    """Whether episodes are recorded.

    Attributes:
        record: whether the median and the worst episode are replayed and rendered.
    """

    record: bool = setting()


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordStage(EvaluationStage, Recording):
    """All that the stage reads: what was evaluated, and whether it is recorded."""
