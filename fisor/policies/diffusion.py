"""The diffusion of actions: noise schedule, forward noising, sampling (Section 3.3)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array

BETA_MIN, BETA_MAX = 0.1, 10.0  # the released code's variance-preserving schedule


class Schedule(NamedTuple):
    """A discrete variance-preserving schedule of T noise levels; entry t - 1 belongs to level t.

    Attributes:
        alphas: `[T]` share of variance kept in each step.
        alphas_cumulative: `[T]` their running product, alpha_bar.
    """

    alphas: Array
    alphas_cumulative: Array


def schedule(T: int) -> Schedule:
    """alpha_t = exp(-b_min / T - (b_max - b_min)(2t - 1) / (2 T^2)), t = 1..T (released code)."""
    t = jnp.arange(1, T + 1, dtype=jnp.float32)
    alphas = jnp.exp(-BETA_MIN / T - (BETA_MAX - BETA_MIN) * (2 * t - 1) / (2 * T**2))
    return Schedule(alphas, jnp.cumprod(alphas))


def add_noise(noise_schedule: Schedule, actions: Array, time: Array, noise: Array) -> Array:
    """a_t = sqrt(alpha_bar_t) a + sqrt(1 - alpha_bar_t) z, the forward transition of Eq. 23.

    Args:
        noise_schedule: from `schedule`.
        actions: `[B, action_dim]`.
        time: `[B]` int, 1 to T.
        noise: `[B, action_dim]` standard normal.

    Returns:
        `[B, action_dim]`.
    """
    kept = noise_schedule.alphas_cumulative[time - 1][:, None]
    return jnp.sqrt(kept) * actions + jnp.sqrt(1 - kept) * noise


Predict = Callable[[Array, Array], Array]


def sample(
    noise_schedule: Schedule, predict_noise: Predict, key: Array, shape: tuple[int, int]
) -> Array:
    """Ancestral (DDPM) sampling: from noise to actions in T steps. Consumes `key`.

    Samples are clipped to [-1, 1] after every step and the last step adds no noise, as in the
    released code.

    Args:
        noise_schedule: from `schedule`.
        predict_noise: (noisy actions `[B, action_dim]`, time `[B]`) -> `[B, action_dim]`.
        key: a key.
        shape: (B, action_dim).

    Returns:
        `[B, action_dim]` actions in [-1, 1].
    """
    start_key, steps_key = jax.random.split(key)

    def added(time: Array) -> Array:
        return jax.random.normal(jax.random.fold_in(steps_key, time), shape)

    return _sample(noise_schedule, predict_noise, jax.random.normal(start_key, shape), added)


def noise_of_sample(key: Array, levels: int, shape: tuple[int, int]) -> Array:
    """What `sample` draws by this key with T `levels`, `[B, T, action_dim]`; the start is first.

    Consumes `key`.
    """
    start_key, steps_key = jax.random.split(key)
    step_keys = [jax.random.fold_in(steps_key, time) for time in range(levels, 1, -1)]
    return jnp.stack([jax.random.normal(k, shape) for k in (start_key, *step_keys)], axis=1)


def sample_from(noise_schedule: Schedule, predict_noise: Predict, noise: Array) -> Array:
    """`sample` as a function of its noise, `[B, T, action_dim]` -> `[B, action_dim]`."""
    levels = noise_schedule.alphas.shape[0]

    def added(time: Array) -> Array:
        # The last step asks for one more than there is, and adds nothing.
        return noise[:, jnp.minimum(levels - time + 1, levels - 1)]

    return _sample(noise_schedule, predict_noise, noise[:, 0], added)


def _sample(
    noise_schedule: Schedule,
    predict_noise: Predict,
    start: Array,
    added: Callable[[Array], Array],
) -> Array:
    """The steps of `sample`; `added` is the noise of the step from a level."""

    def step(noisy: Array, time: Array) -> tuple[Array, None]:
        alpha = noise_schedule.alphas[time - 1]
        kept = noise_schedule.alphas_cumulative[time - 1]
        predicted = predict_noise(noisy, jnp.full(start.shape[0], time))
        mean = (noisy - (1 - alpha) / jnp.sqrt(1 - kept) * predicted) / jnp.sqrt(alpha)
        drawn = mean + jnp.where(time > 1, jnp.sqrt(1 - alpha), 0.0) * added(time)
        return jnp.clip(drawn, -1.0, 1.0), None

    times = jnp.arange(noise_schedule.alphas.shape[0], 0, -1)
    return jax.lax.scan(step, start, times)[0]


def sample_dpm_solver_1(
    noise_schedule: Schedule, predict_noise: Predict, key: Array, shape: tuple[int, int]
) -> Array:
    """First-order DPM-Solver: noise is drawn once, then T steps without any. Consumes `key`.

    With a_0 predicted from the noise, each step solves the probability flow's equation from level t
    to t - 1 to first order in log(sqrt(alpha_bar) / sqrt(1 - alpha_bar)) (Lu et al. 2022, Eq. 3.7;
    in terms of a_0 the same). What is clipped to [-1, 1] is a_0: cutting the noisy actions, as the
    released code does and `sample` can afford, would cut their distribution, as no noise mends it.

    Arguments and result are those of `sample`.
    """
    return _dpm_solver_1(noise_schedule, predict_noise, jax.random.normal(key, shape))


def noise_of_dpm_solver_1(key: Array, levels: int, shape: tuple[int, int]) -> Array:
    """What `sample_dpm_solver_1` draws by this key, `[B, 1, action_dim]`. Consumes `key`."""
    del levels
    return jax.random.normal(key, shape)[:, None]


def dpm_solver_1_from(noise_schedule: Schedule, predict_noise: Predict, noise: Array) -> Array:
    """The same as a function of its noise, `[B, 1, action_dim]` -> `[B, action_dim]`."""
    return _dpm_solver_1(noise_schedule, predict_noise, noise[:, 0])


def _dpm_solver_1(noise_schedule: Schedule, predict_noise: Predict, start: Array) -> Array:
    kept = jnp.concatenate([jnp.ones(1), noise_schedule.alphas_cumulative])  # of levels 0..T
    signal, spread = jnp.sqrt(kept), jnp.sqrt(1 - kept)

    def step(noisy: Array, time: Array) -> tuple[Array, None]:
        predicted = predict_noise(noisy, jnp.full(start.shape[0], time))
        clean = jnp.clip((noisy - spread[time] * predicted) / signal[time], -1.0, 1.0)
        noise = (noisy - signal[time] * clean) / spread[time]
        return signal[time - 1] * clean + spread[time - 1] * noise, None

    times = jnp.arange(noise_schedule.alphas.shape[0], 0, -1)
    return jax.lax.scan(step, start, times)[0]


SAMPLERS = {"ddpm": sample, "dpm_solver_1": sample_dpm_solver_1}


class OfNoise(NamedTuple):
    """A sampler as a function of all the noise that it uses.

    Attributes:
        noise: (key, T, (B, action_dim)) -> `[B, draws, action_dim]` standard normal.
        actions: (schedule, predict_noise, noise) -> `[B, action_dim]`.
    """

    noise: Callable[[Array, int, tuple[int, int]], Array]
    actions: Callable[[Schedule, Predict, Array], Array]


OF_NOISE = {
    "ddpm": OfNoise(noise_of_sample, sample_from),
    "dpm_solver_1": OfNoise(noise_of_dpm_solver_1, dpm_solver_1_from),
}
