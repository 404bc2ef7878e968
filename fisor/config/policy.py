"""Parameters of stage train_policy."""

import dataclasses
from typing import ClassVar, Literal

from fisor.config.section import setting
from fisor.config.training import Training


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyNetwork(Training):
    """The network of a policy, and the batches that it is trained on.

    Attributes:
        policy: `diffusion`, or `gaussian` instead (Table 3).
        T: number of noise levels of the diffusion.
        soft_update: update rate of the moving average of the weights, per step.
        policy_batch_size: rows per step.
        policy_blocks: residual blocks of the score network, or hidden layers of the Gaussian.
        policy_units: width of the residual stream, or of the Gaussian's hidden layers.
        policy_dropout: share of a block's inputs that is dropped in training.
    """

    policy: Literal["diffusion", "gaussian"] = setting()
    T: int = setting(ge=1, le=1000)
    soft_update: float = setting(gt=0, lt=1, by_task=True)
    policy_batch_size: int = setting(ge=1, by_task=True)
    policy_blocks: int = setting(ge=1, le=64, by_task=True)
    policy_units: int = setting(ge=1, le=65536, by_task=True)
    policy_dropout: float = setting(ge=0, le=0.99, by_task=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy(PolicyNetwork):
    """A policy that is extracted from the critics by weighted regression.

    Attributes:
        policy_weights: w of Eq. 13 (`fisor`), or an ablation's, see `fisor.policies.weights`.
        best_share: share of the feasible rows that count, with policy_weights `best_of_episodes`.
        gamma: discount, of the returns that these are chosen by.
        feasible_temperature: alpha_1 of Eq. 13.
        infeasible_temperature: alpha_2.
        feasible_clip: largest weight where the state is feasible.
        infeasible_clip: largest weight where it is not.
        normalise_advantages: whether A_r and A_h are divided by their standard deviations, so that
            the temperatures are in units of these.
        balance_regions: whether the weights of each region are divided by their mean there.
        draw_by_weight: whether to draw rows in proportion to w instead of weighting the loss.
    """

    OVERRIDES: ClassVar = "policy"
    METHOD_PART: ClassVar = "train"

    policy_weights: Literal[
        "fisor", "feasible_only", "unconstrained", "imitation", "best_of_episodes"
    ] = setting()
    best_share: float = setting(gt=0, le=1)
    gamma: float = setting(gt=0, lt=1)
    feasible_temperature: float = setting(ge=0)
    infeasible_temperature: float = setting(ge=0)
    feasible_clip: float = setting(ge=1)
    infeasible_clip: float = setting(ge=1)
    normalise_advantages: bool = setting()
    balance_regions: bool = setting()
    draw_by_weight: bool = setting(by_task=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyStage(Policy):
    """All that the stage reads.

    Attributes:
        name: name of the task.
        method: name of the policy, such as FISOR.
    """

    name: str
    method: str
