"""Parameters of the stages that make the data: acquire, convert and label."""

import dataclasses

from fisor.config.section import Section, setting
from fisor.config.task import Acquire, Environment, Scored


@dataclasses.dataclass(frozen=True, kw_only=True)
class AcquireStage(Environment):
    """All that stage acquire reads.

    Attributes:
        reference_returns: lowest and highest return of the dataset.
        acquire: where the dataset comes from.
    """

    reference_returns: tuple[float, float]
    acquire: Acquire


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conversion(Section):
    """Which rows and episodes are used.

    Attributes:
        acquire_parts: the parts in which stage acquire makes each dataset: `all`, or one for each
            of a collection's learners.
        drop_bad_rows: whether to leave out rows that cannot be used; if not, the file is rejected.
        data_share: share of the episodes (Figure 10).
        data_share_seed: seed of the choice of these episodes.
        expert_return: only episodes with a higher return are used (imitation, Appendix D.6); None:
            all are.
    """

    acquire_parts: tuple[str | int, ...] = setting()
    drop_bad_rows: bool = setting()
    data_share: float = setting(ge=1e-6, le=1)
    data_share_seed: int = setting(ge=0)
    expert_return: float | None = setting()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertStage(Conversion, Scored):
    """All that stage convert reads.

    Attributes:
        dense_violation: whether h comes from the dataset.
        acquire: where the dataset comes from.
    """

    dense_violation: bool
    acquire: Acquire


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labels(Section):
    """The violation h.

    Attributes:
        M: a sparse h where the cost is positive; -1 elsewhere.
        violation_floor: lower bound of a dense h; None: it has none.
    """

    M: float = setting(gt=0)
    violation_floor: float | None = setting(lt=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelStage(Labels):
    """All that stage label reads.

    Attributes:
        dense_violation: whether h comes from the dataset.
        cost_limit: limit of the cost per episode.
    """

    dense_violation: bool
    cost_limit: float
