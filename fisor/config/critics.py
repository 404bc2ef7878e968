"""Parameters of both critics."""

import dataclasses

from fisor.config.section import setting
from fisor.config.training import Training


@dataclasses.dataclass(frozen=True, kw_only=True)
class Critic(Training):
    """Sizes and learning rule of a critic.

    Attributes:
        tau: the expectile (Eq. 8 and 15), above 0.5.
        gamma: the discount.
        soft_update: update rate of the target networks, per step.
        value_batch_size: rows per step.
        hidden_layers: hidden layers of each network.
        hidden_units: units of each hidden layer.
        value_scale: factor of the networks' outputs in training (not in the paper, where it is 1).
    """

    tau: float = setting(gt=0.5, lt=1)
    gamma: float = setting(gt=0, lt=1)
    soft_update: float = setting(gt=0, lt=1, by_task=True)
    value_batch_size: int = setting(ge=1, by_task=True)
    hidden_layers: int = setting(ge=1, le=16, by_task=True)
    hidden_units: int = setting(ge=1, le=65536, by_task=True)
    value_scale: float = setting(gt=0, by_task=True)
