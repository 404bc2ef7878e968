"""How safe the starts are that V_h calls feasible: a bound that rollouts certify.

Lin and Bansal, "Verification of Neural Reachable Tubes via Scenario Optimization and Conformal
Prediction" (L4DC 2024): of N independent fresh starts with V_h <= level, let k end in a violation.
With confidence 1 - beta over the draw of the starts, a further one ends so with a probability of at
most epsilon. Scenario optimisation and split conformal prediction give the same bound. No model of
the dynamics or of the learned value is needed, only that the starts are drawn independently.

Episodes of different training seeds run from the same starts, so they are not independent: each
seed, its critic and its policy, has a certificate of its own.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats


class Certificate(NamedTuple):
    """With confidence 1 - beta, at most a share epsilon of the starts below a level violates.

    Attributes:
        level: the starts have V_h of at most that.
        starts: N, those of them that were run.
        violations: k, how many of these ended in a violation.
        epsilon: the bound.
    """

    level: float
    starts: int
    violations: int
    epsilon: float


def violation_bound(violations: int, starts: int, beta: float) -> float:
    """The smallest epsilon with sum_{i<=k} C(N, i) epsilon^i (1 - epsilon)^(N - i) <= beta.

    The sum is the binomial's distribution function, which in epsilon is 1 minus that of the beta
    distribution with k + 1 and N - k. So epsilon is its upper beta-quantile: Clopper and Pearson's
    (1934) upper limit.

    Args:
        violations: k, at most N.
        starts: N.
        beta: in (0, 1).

    Returns:
        epsilon; 1 where every start violated, or there is none.
    """
    if violations >= starts:
        return 1.0
    return float(stats.beta.isf(beta, violations + 1, starts - violations))


def certificate(
    values: np.ndarray, violated: np.ndarray, beta: float, level: float = 0.0
) -> Certificate:
    """Certify a level that was chosen without these episodes, such as Definition 2's 0.

    Args:
        values: `[n]` V_h of independent starts, of one training seed.
        violated: `[n]` bool, whether the episode from there ended in a violation.
        beta: the probability with which it may be wrong.
        level: of V_h.
    """
    below = values <= level
    starts, violations = int(below.sum()), int(violated[below].sum())
    return Certificate(level, starts, violations, violation_bound(violations, starts, beta))


def chosen_level(
    values: np.ndarray, violated: np.ndarray, beta: float, epsilon: float
) -> float | None:
    """The highest level of at most 0 whose starts would certify at most epsilon.

    These episodes chose it, so it takes others to certify it.

    Args:
        values: `[n]` V_h of starts.
        violated: `[n]` bool.
        beta: as in `certificate`.
        epsilon: the wanted bound.

    Returns:
        0, or V_h of one of the starts; None where even the strictest levels do not certify it.
    """
    levels = np.unique(np.append(values[values <= 0], 0.0))[::-1]
    for level in levels.tolist():
        if certificate(values, violated, beta, level).epsilon <= epsilon:
            return level
    return None


def certificate_of_chosen_level(
    values: np.ndarray, violated: np.ndarray, beta: float, epsilon: float
) -> Certificate | None:
    """Choose a level on the first half of the episodes, and certify it on the second.

    Episodes have no order, so the halves are as good as drawn. What the second half certifies may
    lie above the wanted epsilon, as it is another draw.

    Args:
        values: `[n]` V_h of independent starts, of one training seed.
        violated: `[n]` bool.
        beta: the probability with which the certificate may be wrong.
        epsilon: the wanted bound.

    Returns:
        The certificate; None where no level of the first half would do.
    """
    half = values.size // 2
    level = chosen_level(values[:half], violated[:half], beta, epsilon)
    return None if level is None else certificate(values[half:], violated[half:], beta, level)
