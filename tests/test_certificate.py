"""The certificate of safety: its formula, how often it holds, and the level that it chooses."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from fisor.evaluation.certificate import (
    Certificate,
    certificate,
    certificate_of_chosen_level,
    chosen_level,
    violation_bound,
)


def tail(violations: int, starts: int, epsilon: Fraction) -> Fraction:
    """sum_{i<=k} C(N, i) epsilon^i (1 - epsilon)^(N - i), exactly."""
    return sum(
        (
            comb(starts, i) * epsilon**i * (1 - epsilon) ** (starts - i)
            for i in range(violations + 1)
        ),
        Fraction(0),
    )


@pytest.mark.parametrize("beta", [0.2, 1e-3, 1e-9])
@pytest.mark.parametrize(("violations", "starts"), [(0, 1), (0, 400), (3, 50), (49, 50), (9, 1000)])
def test_the_bound_is_the_smallest_by_exact_tails(
    violations: int, starts: int, beta: float
) -> None:
    """A little above the bound the binomial's tail is at most beta, a little below it is not.

    Oracle: the sum in rational numbers.
    """
    epsilon = violation_bound(violations, starts, beta)
    above, below = (Fraction(epsilon) + sign * Fraction(epsilon) / 10**9 for sign in (1, -1))
    assert tail(violations, starts, min(above, Fraction(1))) <= Fraction(beta)
    assert tail(violations, starts, below) > Fraction(beta)


def test_the_bound_by_hand() -> None:
    """No violation: 1 - beta^(1/N). None at all, or all of them, certify nothing."""
    assert violation_bound(0, 345, 1e-3) == pytest.approx(1 - 1e-3 ** (1 / 345), rel=1e-12)
    assert violation_bound(0, 0, 1e-3) == 1.0
    assert violation_bound(5, 5, 1e-3) == 1.0


@pytest.mark.parametrize("risk", [0.1, 0.3])
def test_it_holds_as_often_as_it_says(risk: float) -> None:
    """Of 4000 experiments of 60 starts, at most a share beta has a bound below the true risk.

    Three standard errors above beta = 0.1: 11.4 %. It is not idle either: more than 2 % have.
    """
    violations = np.random.default_rng(0).binomial(60, risk, size=4000)
    bounds = np.array([violation_bound(k, 60, 0.1) for k in range(61)])
    wrong = (bounds[violations] < risk).mean()
    assert 0.02 < wrong < 0.114


def test_a_chosen_levels_certificate_holds_as_often_as_it_says() -> None:
    """The level's choice by other episodes costs no confidence.

    600 experiments of 80 starts, V_h uniform in [-1, 0.2], a violation of probability
    (V_h + 1) / 3. Below a level the mean risk is (level + 1) / 6. Of those with a certificate at
    most 0.1 + three standard errors have a bound below it.
    """
    draw = np.random.default_rng(1)
    wrong, found = 0, 0
    for _ in range(600):
        values = draw.uniform(-1, 0.2, 80)
        violated = draw.random(80) < (values + 1) / 3
        one = certificate_of_chosen_level(values, violated, beta=0.1, epsilon=0.2)
        if one is not None:
            found += 1
            wrong += one.epsilon < (one.level + 1) / 6
    assert found > 300
    assert wrong / found < 0.1 + 3 * np.sqrt(0.09 / found)


VALUES = np.array([-0.9, -0.8, -0.7, -0.6, -0.5, -0.4, -0.3, -0.2, -0.1, 0.5])
VIOLATED = np.array([False, False, False, False, False, False, True, False, True, True])


def test_starts_below_the_level_count() -> None:
    """V_h <= 0: 9 starts, 2 violations; what V_h calls infeasible does not count."""
    beta = 0.1
    assert certificate(VALUES, VIOLATED, beta) == Certificate(
        0.0, 9, 2, violation_bound(2, 9, beta)
    )
    assert certificate(VALUES, VIOLATED, beta, -0.4)[:3] == (-0.4, 6, 0)


def test_the_chosen_level_by_hand() -> None:
    """The highest level that certifies what is wanted, at beta = 0.5.

    No violation among n starts bounds by 1 - 0.5^(1/n): 6 starts give 0.109, 5 give 0.129; one of
    8 starts (level -0.2) gives more, 2 of 9 (level 0) more still.
    """
    assert violation_bound(1, 8, 0.5) == pytest.approx(0.2, abs=0.01)
    assert chosen_level(VALUES, VIOLATED, 0.5, 0.12) == -0.4
    assert chosen_level(VALUES, VIOLATED, 0.5, 0.21) == -0.2
    assert chosen_level(VALUES, VIOLATED, 0.5, 0.5) == 0.0
    assert chosen_level(VALUES, VIOLATED, 0.5, 0.1) is None
    assert chosen_level(VALUES[-1:], VIOLATED[-1:], 0.5, 0.1) is None  # none is called feasible


def test_one_half_chooses_and_the_other_certifies() -> None:
    """The second half's violation counts against the level that the first half chose."""
    values = np.concatenate([VALUES, VALUES])
    violated = np.concatenate([VIOLATED, np.roll(VIOLATED, 1)])  # -0.2 and -0.9 there
    one = certificate_of_chosen_level(values, violated, 0.5, 0.12)
    assert one == Certificate(-0.4, 6, 1, violation_bound(1, 6, 0.5))
    assert certificate_of_chosen_level(values, violated, 0.5, 0.01) is None
