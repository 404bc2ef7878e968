"""How a policy of N candidates acts."""

import dataclasses
from typing import ClassVar, Literal

from fisor.config.section import Section, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(Section):
    """How a policy of N candidates acts.

    Attributes:
        N: candidates (Table 5: 16).
        sampler: of a diffusion policy: `ddpm`, or `dpm_solver_1`, T deterministic steps after the
            first noise. A Gaussian or one-step policy has no use for it.
        acting_precision: what the operands of products in the network that draws candidates are
            rounded to; critics choose among them in float32.
        acting_rule: which candidate acts: `lowest_violation`, the one of lowest Q_h (the paper's
            rule), or `best_feasible`, of those with Q_h <= -margin the one of highest Q_r.
        margin: of `best_feasible`, in units of h.
        proposals: of `best_feasible`: where no candidate has Q_h <= -margin, the lowest Q_h among
            the candidates and so many actions drawn uniformly from the action space acts.
    """

    METHOD_PART: ClassVar = "act"

    N: int = setting(ge=1, le=65536)
    sampler: Literal["ddpm", "dpm_solver_1"] = setting()
    acting_precision: Literal["float32", "tensorfloat32", "bfloat16"] = setting()
    acting_rule: Literal["lowest_violation", "best_feasible"] = setting()
    margin: float = setting(ge=0)
    proposals: int = setting(ge=0, le=65536)
