"""How a policy of N candidates acts."""

import dataclasses
from typing import ClassVar, Literal

from fisor.config.section import Section, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(Section):
    """How a policy of N candidates acts.

    Attributes:
        N: candidates, of which the one of lowest Q_h acts (Table 5: 16).
        sampler: of a diffusion policy: `ddpm`, or `dpm_solver_1`, T deterministic steps after the
            first noise.
    """

    METHOD_PART: ClassVar = "act"

    N: int = setting(ge=1, le=65536)
    sampler: Literal["ddpm", "dpm_solver_1"] = setting()
