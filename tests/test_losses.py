"""Losses and targets against numbers worked out by hand, with and without jit."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisor.critics import feasibility, losses, reward
from fisor.policies import weights

WEIGHT_SETTINGS = {
    "feasible_temperature": 3.0,
    "infeasible_temperature": 5.0,
    "feasible_clip": 100.0,
    "infeasible_clip": 150.0,
}


@pytest.fixture(params=["eager", "jit"])
def run(request: pytest.FixtureRequest) -> Callable:
    """A function (loss, *arrays, **settings) -> NumPy array, called directly or compiled."""

    def call(function: Callable, *arrays: list, **settings: float) -> np.ndarray:
        called = jax.jit(lambda *inputs: function(*inputs, **settings))
        if request.param == "eager":
            called = lambda *inputs: function(*inputs, **settings)  # noqa: E731
        return np.asarray(called(*(jnp.asarray(array) for array in arrays)))

    return call


def expectile_by_bisection(sample: np.ndarray, tau: float) -> float:
    """The tau-expectile: where tau * (mass above) balances (1 - tau) * (mass below)."""
    low, high = sample.min(), sample.max()
    for _ in range(100):
        middle = (low + high) / 2
        above = np.maximum(sample - middle, 0).sum()
        below = np.maximum(middle - sample, 0).sum()
        low, high = (middle, high) if tau * above > (1 - tau) * below else (low, middle)
    return low


def minimiser(loss: Callable[[jax.Array], jax.Array]) -> float:
    """Where the mean of `loss` over the sample is least: golden section on [-20, 20], float64."""
    shrink = (np.sqrt(5) - 1) / 2
    low, high = -20.0, 20.0
    with jax.enable_x64(True):
        mean = jax.jit(lambda value: loss(value).mean())
        for _ in range(70):
            left, right = high - shrink * (high - low), low + shrink * (high - low)
            low, high = (low, right) if mean(left) < mean(right) else (left, high)
    return (low + high) / 2


def test_expectile_loss_by_hand(run: Callable) -> None:
    """Eq. 15 at tau = 0.9: 0.9 u^2 above zero, 0.1 u^2 below, 0 at zero."""
    difference = [2.0, -2.0, 0.0, 0.5, -10.0]
    expected = [3.6, 0.4, 0.0, 0.225, 10.0]  # 0.9 * 4, 0.1 * 4, 0, 0.9 * 0.25, 0.1 * 100
    np.testing.assert_allclose(run(losses.expectile_loss, difference, tau=0.9), expected, rtol=1e-6)


def test_feasible_value_loss_is_reversed(run: Callable) -> None:
    """Eq. 8 at tau = 0.9, u = Q_h - V_h: weight 0.1 where Q_h is above V_h, 0.9 where below."""
    q_h, v_h = [3.0, 1.0, -1.0, 0.5], [1.0, 3.0, -1.0, -0.5]
    expected = [0.4, 3.6, 0.0, 0.1]  # u = 2, -2, 0, 1
    actual = run(feasibility.feasible_value_loss, q_h, v_h, tau=0.9)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_reward_value_loss_by_hand(run: Callable) -> None:
    """Eq. 15 at tau = 0.9, u = Q_r - V_r: weight 0.9 where Q_r is above V_r, 0.1 where below."""
    q_r, v_r = [3.0, 1.0, -1.0, 0.5], [1.0, 3.0, -1.0, -0.5]
    expected = [3.6, 0.4, 0.0, 0.9]  # u = 2, -2, 0, 1
    actual = run(reward.reward_value_loss, q_r, v_r, tau=0.9)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.parametrize("tau", [0.5, 0.7, 0.9, 0.99])
def test_minimisers_are_expectiles(tau: float) -> None:
    """V_r goes to the upper tau-expectile of Q_r, V_h to the lower one; both are the mean at 0.5.

    Oracle: bisection on the expectile's balance equation. The lower tau-expectile is the
    (1 - tau)-expectile.
    """
    sample = np.random.default_rng(0).gamma(2.0, 3.0, 200) - 4.0  # skewed: its mean is no median
    upper = minimiser(lambda value: reward.reward_value_loss(jnp.asarray(sample), value, tau))
    lower = minimiser(
        lambda value: feasibility.feasible_value_loss(jnp.asarray(sample), value, tau)
    )
    assert upper == pytest.approx(expectile_by_bisection(sample, tau), abs=1e-5)
    assert lower == pytest.approx(expectile_by_bisection(sample, 1 - tau), abs=1e-5)
    if tau == 0.5:
        assert upper == pytest.approx(sample.mean(), abs=1e-5)
        assert lower == pytest.approx(sample.mean(), abs=1e-5)
    else:
        assert lower < sample.mean() < upper


def test_feasible_target_by_hand(run: Callable) -> None:
    """Eq. 9 at gamma = 0.9: V_h(s') counts where it is above h; a terminal row's target is h."""
    violation = [-1.0, -1.0, 2.0, -1.0, 25.0]
    next_value = [0.5, -3.0, 1.0, 7.0, -9.0]
    terminal = [False, False, False, True, True]
    # 0.1 * -1 + 0.9 * 0.5;  0.1 * -1 + 0.9 * -1;  0.1 * 2 + 0.9 * 2;  h;  h
    expected = [0.35, -1.0, 2.0, -1.0, 25.0]
    actual = run(feasibility.feasible_target, violation, next_value, terminal, gamma=0.9)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_reward_target_by_hand(run: Callable) -> None:
    """Eq. 16 at gamma = 0.9: r + 0.9 V_r(s'), and r alone at the end."""
    reward, next_value = [1.0, -2.0, 3.0, 0.0], [10.0, -10.0, 10.0, -5.0]
    terminal = [False, False, True, True]
    expected = [10.0, -11.0, 3.0, 0.0]
    actual = run(losses.bellman_target, reward, next_value, terminal, gamma=0.9)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_targets_ignore_a_wild_value_after_the_end(run: Callable) -> None:
    """A terminal row's target does not change with V(s'), not even by an infinite one."""
    arrays = [1.0, 1.0], [np.inf, -np.inf], [True, True]
    np.testing.assert_array_equal(run(losses.bellman_target, *arrays, gamma=0.99), [1.0, 1.0])
    np.testing.assert_array_equal(run(feasibility.feasible_target, *arrays, gamma=0.99), [1.0, 1.0])


def test_policy_weight_by_hand(run: Callable) -> None:
    """Eq. 13 at the paper's temperatures 3 and 5, each case beside the others in one batch."""
    cases = [
        # A_r, Q_h, V_h, weight
        (0.5, -0.2, -0.3, np.exp(1.5)),  # feasible: exp(3 * 0.5)
        (-1.0, -0.2, -0.3, np.exp(-3.0)),  # feasible, a bad action
        (0.5, 0.0, 0.0, np.exp(1.5)),  # both exactly 0 count as feasible
        (0.5, 0.1, -0.3, 0.0),  # feasible state, action leads out: the indicator
        (9.0, 0.1, 0.0, 0.0),  # the same with a large advantage
        (9.0, 0.5, 0.3, np.exp(-1.0)),  # infeasible: exp(-5 * 0.2), the reward does not matter
        (-9.0, 0.1, 0.3, np.exp(1.0)),  # infeasible, a safer action: exp(5 * 0.2)
        (0.0, -0.1, 0.3, np.exp(2.0)),  # infeasible: the indicator does not apply
    ]
    advantage, q_h, v_h, expected = (list(column) for column in zip(*cases, strict=True))
    actual = run(weights.policy_weight, advantage, q_h, v_h, **WEIGHT_SETTINGS)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_policy_weight_clips_and_never_overflows(run: Callable) -> None:
    """Table 5's clips: 100 where feasible, 150 elsewhere, for exponents that overflow float32."""
    cases = [
        # A_r, Q_h, V_h, weight
        (1.5, -1.0, -1.0, np.exp(4.5)),  # 90: just below the clip
        (1.6, -1.0, -1.0, 100.0),  # exp(4.8) = 121
        (1e30, -1.0, -1.0, 100.0),
        (-1e30, -1.0, -1.0, 0.0),
        (1e30, 1.0, -1.0, 0.0),  # infinity times 0 would be NaN
        (0.0, 0.0, 1.0, np.exp(5.0)),  # 148: just below the clip
        (0.0, -0.1, 1.0, 150.0),  # exp(5.5) = 245
        (0.0, -1e30, 1.0, 150.0),
        (0.0, 1e30, 1.0, 0.0),
    ]
    advantage, q_h, v_h, expected = (list(column) for column in zip(*cases, strict=True))
    actual = run(weights.policy_weight, advantage, q_h, v_h, **WEIGHT_SETTINGS)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_policy_weight_is_finite_on_the_way() -> None:
    """Exponents are cut before the exponential: no infinity arises, not even one cut afterwards.

    JAX's own check of every intermediate result, operation by operation.
    """
    huge = jnp.asarray([1e30, 1e30, -1e30]), jnp.asarray([-1.0, -1e30, 1e30])
    with jax.debug_infs(True), jax.debug_nans(True):
        found = weights.policy_weight(*huge, jnp.asarray([-1.0, 1.0, 1.0]), **WEIGHT_SETTINGS)
    np.testing.assert_allclose(found, [100.0, 150.0, 0.0], rtol=1e-5)
