"""What stage report is told."""

import dataclasses

from fisor.config.section import Section, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Certified(Section):
    """The report's certificates of safety.

    Attributes:
        certificate_beta: the probability with which one may be wrong.
        certificate_epsilon: the wanted largest share of violations, for which a level of V_h is
            chosen.
    """

    certificate_beta: float = setting(gt=0, lt=1)
    certificate_epsilon: float = setting(gt=0, lt=1)
