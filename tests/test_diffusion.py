"""The noise schedule, and sampling with noise predictors that are known in closed form."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from fisor.policies import diffusion


def kept_by_formula(T: int) -> tuple[np.ndarray, np.ndarray]:
    """alpha_t and alpha_bar_t, from the formula in official-code.md, in float64."""
    alphas = [math.exp(-0.1 / T - (10 - 0.1) * (2 * t - 1) / (2 * T**2)) for t in range(1, T + 1)]
    return np.array(alphas), np.array([math.prod(alphas[: t + 1]) for t in range(T)])


@pytest.mark.parametrize("T", [1, 5, 20])
def test_schedule_is_the_formula(T: int) -> None:
    """Alphas and their running product are the released code's, for several T."""
    alphas, cumulative = kept_by_formula(T)
    schedule = diffusion.schedule(T)
    np.testing.assert_allclose(schedule.alphas, alphas, rtol=1e-6)
    np.testing.assert_allclose(schedule.alphas_cumulative, cumulative, rtol=1e-5)


@pytest.mark.parametrize("T", [1, 5, 20])
def test_schedule_ends_in_the_same_noise_for_every_T(T: int) -> None:
    """The exponents add up to -(0.1 + 9.9 / 2) = -5.05 whatever T: sum of (2t - 1) is T^2."""
    last = float(diffusion.schedule(T).alphas_cumulative[-1])
    assert last == pytest.approx(math.exp(-5.05), rel=1e-5)


def test_noise_has_the_moments_of_its_level() -> None:
    """At level t, mean sqrt(alpha_bar_t) a and variance 1 - alpha_bar_t, each row at its own level.

    Oracle: the formula; tolerances are five standard errors of n = 20000 draws.
    """
    T, n = 5, 20_000
    _, kept = kept_by_formula(T)
    actions = jnp.tile(jnp.array([[0.9, -0.4]]), (n * T, 1))
    time = jnp.repeat(jnp.arange(1, T + 1), n)
    noise = jax.random.normal(jax.random.key(0), (n * T, 2))
    noisy = diffusion.add_noise(diffusion.schedule(T), actions, time, noise)
    by_level = np.asarray(noisy).reshape(T, n, 2)
    for level in range(T):
        variance = 1 - kept[level]
        mean_error = by_level[level].mean(0) - np.sqrt(kept[level]) * np.array([0.9, -0.4])
        assert np.abs(mean_error).max() < 5 * np.sqrt(variance / n)
        assert np.abs(by_level[level].var(0) - variance).max() < 5 * variance * np.sqrt(2 / n)


def test_noise_by_hand() -> None:
    """Two rows at levels 1 and 3: sqrt(alpha_bar) a + sqrt(1 - alpha_bar) z, entry by entry."""
    _, kept = kept_by_formula(3)
    actions, noise = jnp.array([[0.5, -1.0], [0.25, 1.0]]), jnp.array([[1.0, 2.0], [-1.0, 0.0]])
    noisy = diffusion.add_noise(diffusion.schedule(3), actions, jnp.array([1, 3]), noise)
    expected = [
        [math.sqrt(kept[0]) * a + math.sqrt(1 - kept[0]) * z for a, z in ((0.5, 1), (-1, 2))],
        [math.sqrt(kept[2]) * a + math.sqrt(1 - kept[2]) * z for a, z in ((0.25, -1), (1, 0))],
    ]
    np.testing.assert_allclose(noisy, expected, rtol=1e-5, atol=1e-7)


# Sampling with the exact noise predictor ----------------------------------------------------------

MEAN, SPREAD = 0.3, 0.1  # of the Gaussian actions


def exact_noise(noisy: Any, kept: Any) -> Any:
    """E[z | a_t] for actions of N(MEAN, SPREAD^2), in closed form; of NumPy's arrays or JAX's.

    a_t is N(sqrt(k) MEAN, k SPREAD^2 + 1 - k); its score times -sqrt(1 - k) is the noise.
    """
    variance = kept * SPREAD**2 + 1 - kept
    return (1 - kept) ** 0.5 * (noisy - kept**0.5 * MEAN) / variance


def law_by_quadrature(T: int) -> tuple[np.ndarray, np.ndarray]:
    """The law of the clipped chain with the exact noise, without drawing: points and masses.

    Each step sends a point to a Gaussian cut to [-1, 1]; masses are carried along a grid.
    """
    alphas, cumulative = kept_by_formula(T)
    edges = np.linspace(-1, 1, 801)
    grid = np.concatenate([[-1.0], (edges[1:] + edges[:-1]) / 2, [1.0]])
    start = np.linspace(-6, 6, 2401)
    points, masses = (start[1:] + start[:-1]) / 2, np.diff(norm.cdf(start))

    def mean_of_step(alpha: float, kept: float) -> np.ndarray:
        return (points - (1 - alpha) / (1 - kept) ** 0.5 * exact_noise(points, kept)) / alpha**0.5

    for alpha, kept in zip(alphas[:0:-1], cumulative[:0:-1], strict=True):
        below = norm.cdf((edges - mean_of_step(alpha, kept)[:, None]) / (1 - alpha) ** 0.5)
        sent = np.concatenate([below[:, :1], np.diff(below, axis=1), 1 - below[:, -1:]], axis=1)
        points, masses = grid, masses @ sent
    return np.clip(mean_of_step(alphas[0], cumulative[0]), -1, 1), masses  # no noise at the last


def draw_with_exact_noise(T: int, count: int, sampler: str = "ddpm") -> np.ndarray:
    """`count` rows of two action entries, drawn by the library."""
    schedule = diffusion.schedule(T)

    def predict(noisy: jax.Array, time: jax.Array) -> jax.Array:
        return exact_noise(noisy, schedule.alphas_cumulative[time - 1][:, None])

    draw = partial(diffusion.SAMPLERS[sampler], schedule, predict, shape=(count, 2))
    return np.asarray(jax.jit(draw)(jax.random.key(4)))


@pytest.mark.parametrize("T", [1, 5, 20])
def test_samples_follow_the_law_of_the_chain(T: int) -> None:
    """DDPM steps, each clipped, the last without noise: the draws have that chain's distribution.

    Oracle: quadrature in NumPy. The largest gap between the distribution functions of n draws and
    of their law is below 1.95 / sqrt(n) for 99.9 % of draws (Kolmogorov); 0.002 is the grid's.
    """
    points, masses = law_by_quadrature(T)
    for draws in draw_with_exact_noise(T, 200_000).T:
        below = np.searchsorted(np.sort(draws), points, side="right") / draws.size
        # A point's own mass may count or not: draws on its other side have the same value to 1e-3.
        order = np.argsort(points)
        law = np.cumsum(masses[order])
        gap = np.minimum(np.abs(law - below[order]), np.abs(law - masses[order] - below[order]))
        assert gap.max() < 1.95 / math.sqrt(draws.size) + 0.002


def test_entries_of_an_action_are_drawn_independently() -> None:
    """The two entries of an action share no noise: their correlation is below 4 / sqrt(n)."""
    draws = draw_with_exact_noise(5, 20_000)
    assert abs(np.corrcoef(draws.T)[0, 1]) < 4 / math.sqrt(len(draws))


def test_many_levels_give_the_gaussian_back() -> None:
    """With T = 50 the samples have the actions' mean and spread, here to 0.005 and 5 %."""
    draws = draw_with_exact_noise(50, 20_000)
    np.testing.assert_allclose(draws.mean(0), MEAN, atol=0.005)
    np.testing.assert_allclose(draws.std(0), SPREAD, rtol=0.05)


def test_five_levels_give_the_mean_and_too_little_spread() -> None:
    """With the paper's T = 5 the mean is right, the spread a quarter of the actions': too coarse.

    By quadrature it is 0.026: the last step, without noise, shrinks what is left.
    """
    draws = draw_with_exact_noise(5, 20_000)
    np.testing.assert_allclose(draws.mean(0), MEAN, atol=0.005)
    np.testing.assert_allclose(draws.std(0), 0.026, atol=0.001)


def moments_by_dpm_solver(T: int) -> tuple[float, float]:
    """Mean and spread at the end of DPM-Solver's steps with the exact noise, without drawing.

    Eq. 3.7 of Lu et al. (2022), x_t = a_t / a_s x_s - s_t (exp(h) - 1) noise(x_s), h the difference
    of log(a / s), in float64. With Gaussian actions the noise is linear in x, and so is each step:
    a Gaussian stays one. The last level has next to no noise, as a limit.
    """
    _, kept = kept_by_formula(T)
    signal = np.sqrt(np.concatenate([[1.0], kept]))
    spread = np.sqrt(1 - signal**2)
    spread[0] = 1e-12
    mean, std = 0.0, 1.0
    for level in range(T, 0, -1):
        h = np.log(signal[level - 1] / spread[level - 1]) - np.log(signal[level] / spread[level])
        of_noise = spread[level - 1] * np.expm1(h)

        def step(x: float, level: int = level, of_noise: float = of_noise) -> float:
            noise = exact_noise(x, signal[level] ** 2)
            return signal[level - 1] / signal[level] * x - of_noise * noise

        mean, std = step(mean), (step(mean + std) - step(mean))
    return mean, std


@pytest.mark.parametrize("T", [1, 5, 20])
def test_dpm_solver_takes_its_equations_steps(T: int) -> None:
    """The draws have the mean and spread of the solver's own steps, to five standard errors."""
    draws, (mean, std) = draw_with_exact_noise(T, 20_000, "dpm_solver_1"), moments_by_dpm_solver(T)
    np.testing.assert_allclose(draws.mean(0), mean, atol=5 * std / math.sqrt(20_000) + 1e-5)
    np.testing.assert_allclose(draws.std(0), std, rtol=5 / math.sqrt(40_000), atol=1e-5)
    assert abs(np.corrcoef(draws.T)[0, 1]) < 5 / math.sqrt(20_000) or T == 1


def test_dpm_solver_gives_the_gaussian_back() -> None:
    """With T = 500 the whole distribution is right: Kolmogorov's distance to N(0.3, 0.1^2).

    Below 1.95 / sqrt(n) for 99.9 % of draws; 0.02 more for the steps' own error, which by the
    moments above is 2.4 % of the spread.
    """
    for draws in draw_with_exact_noise(500, 20_000, "dpm_solver_1").T:
        law = norm.cdf(np.sort(draws), MEAN, SPREAD)
        gap = np.abs(law - np.arange(draws.size) / draws.size).max()
        assert gap < 1.95 / math.sqrt(draws.size) + 0.02
