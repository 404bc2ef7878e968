"""TREBI's plans: denoised under guidance by values, within a budget (Lin et al. 2023).

The diffusion is Diffuser's (Janner et al. 2022), which predicts plans and not the noise on them.
Level 0 is the least noisy, T - 1 the last.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array

Predict = Callable[[Array, Array], Array]  # (noisy plan, level `[]`) -> the plan
Values = Callable[[Array, Array], Array]  # (noisy plan, level `[]`) -> rewards and costs to come

OFFSET = 0.008  # of the cosine schedule
LARGEST_BETA = 0.999
UNGUIDED_LEVELS = 2  # the last ones, whose plans are left to the planner
# Of an episode. What a plan's values keep for the gradient, some MB at the published size, times
# all episodes in flight should fit a device's memory; on CPUs it should stay near the caches.
PLANS_AT_ONCE = 32
PLANS_AT_ONCE_ON_CPU = 8


class Schedule(NamedTuple):
    """Of T noise levels; entry t belongs to level t.

    Attributes:
        kept: `[T]` share of a plan's variance that is left, alpha_bar.
        of_plan: `[T]` factor of the plan in the mean of level t - 1.
        of_noisy: `[T]` factor of the noisy plan in that mean.
        variance: `[T]` around that mean; 0 at level 0.
    """

    kept: Array
    of_plan: Array
    of_noisy: Array
    variance: Array


def schedule(T: int) -> Schedule:
    """The cosine schedule and its posterior q(x_(t-1) | x_t, x_0), in float64.

    alpha_bar = f(t) / f(0) with f(t) = cos^2((t / T + s) / (1 + s) pi / 2) (Nichol and Dhariwal
    2021, Eq. 17), s = 0.008, its steps' betas cut at 0.999. The posterior is Ho et al. 2020, Eq. 7.
    """
    f = np.cos((np.arange(T + 1) / T + OFFSET) / (1 + OFFSET) * np.pi / 2) ** 2
    beta = np.minimum(1 - f[1:] / f[:-1], LARGEST_BETA)
    kept = np.cumprod(1 - beta)
    before = np.concatenate([[1.0], kept[:-1]])
    of_plan = np.sqrt(before) * beta / (1 - kept)
    of_noisy = np.sqrt(1 - beta) * (1 - before) / (1 - kept)
    each = kept, of_plan, of_noisy, beta * (1 - before) / (1 - kept)
    return Schedule(*(jnp.asarray(numbers, jnp.float32) for numbers in each))


def add_noise(noise_schedule: Schedule, plan: Array, level: Array, noise: Array) -> Array:
    """sqrt(alpha_bar) x + sqrt(1 - alpha_bar) z: a plan `[steps, n]` at a noise level `[]`."""
    kept = noise_schedule.kept[level]
    return jnp.sqrt(kept) * plan + jnp.sqrt(1 - kept) * noise


def from_here(plan: Array, observation: Array) -> Array:
    """The plan with this first observation `[obs_dim]`; a row's last entries are observations."""
    return plan.at[0, -observation.shape[0] :].set(observation)


def budget_left(budget: Array, cost: Array, gamma: float) -> Array:
    """b_(t+1) = (b_t - c_t) / gamma (Lin et al. 2023): what may still come, discounted from then.

    So b_t = (b_0 - sum_(k<t) gamma^k c_k) / gamma^t. Below 0 where more was spent than there was.

    Args:
        budget: `[]` before a step.
        cost: `[]` of that step.
        gamma: discount.
    """
    return (budget - cost) / gamma


class Guidance(NamedTuple):
    """How values guide plans.

    Attributes:
        steps: gradient steps at each noise level.
        scale: their length, in units of the gradient times the posterior's variance.
        cost_weight: w, of the cost value's gradient where the plan exceeds its budget.
    """

    steps: int
    scale: float
    cost_weight: float


def guided(
    values: Values, plan: Array, level: Array, budget: Array, variance: Array, guidance: Guidance
) -> Array:
    """One step along grad V_r - w 1[V_c > b] grad V_c, times the posterior's variance.

    Args:
        values: V_r and V_c of a noisy plan, `[2]`.
        plan: `[steps, n]`.
        level: `[]` its noise level.
        budget: `[]` b, discounted cost that may still come.
        variance: `[]` of the posterior at this level.
        guidance: w, and the step's length.
    """
    estimates, pull = jax.vjp(lambda x: values(x, level), plan)
    exceeds = (estimates[1] > budget).astype(estimates.dtype)
    (gradient,) = pull(jnp.stack([jnp.ones_like(exceeds), -guidance.cost_weight * exceeds]))
    return plan + guidance.scale * variance * gradient


def choose(rewards: Array, costs: Array, budget: Array) -> Array:
    """Which of P plans acts, `[]`: the highest V_r among V_c <= b; if there are none, lowest V_c.

    Args:
        rewards: `[P]` V_r.
        costs: `[P]` V_c.
        budget: `[]` b.
    """
    within = costs <= budget
    best = jnp.argmax(jnp.where(within, rewards, -jnp.inf))
    return jnp.where(within.any(), best, jnp.argmin(costs))


def make_plan(
    predict: Predict,
    values: Values,
    noise_schedule: Schedule,
    guidance: Guidance,
    plans: int,
    observation: Array,
    budget: Array,
    shape: tuple[int, int],
    key: Array,
) -> Array:
    """Draw plans from an observation, and choose one. Consumes `key`.

    They are chosen by their values at level 0, as in the released code; so only the chosen one
    takes the last step, to the plan that is predicted from there.

    Args:
        predict: the planner, for one plan.
        values: V_r and V_c, for one plan.
        noise_schedule: of the planner.
        guidance: by the values.
        plans: how many.
        observation: `[obs_dim]`, normalised, where each plan begins.
        budget: `[]` b.
        shape: (steps, entries) of a plan.
        key: a key.

    Returns:
        The plan, of that shape.
    """
    levels = np.arange(noise_schedule.kept.shape[0] - 1, 0, -1, dtype=np.int32)

    def draw(key: Array) -> tuple[Array, Array]:
        def denoise(plan: Array, level: Array, guided_steps: int) -> tuple[Array, None]:
            variance = noise_schedule.variance[level]

            def guide(_: int, plan: Array) -> Array:
                moved = guided(values, plan, level, budget, variance, guidance)
                return from_here(moved, observation)

            plan = jax.lax.fori_loop(0, guided_steps, guide, plan)
            mean = (
                noise_schedule.of_plan[level] * predict(plan, level)
                + noise_schedule.of_noisy[level] * plan
            )
            noise = jax.random.normal(jax.random.fold_in(key, level), shape)
            return from_here(mean + jnp.sqrt(variance) * noise, observation), None

        first = jax.random.normal(jax.random.fold_in(key, 0), shape)
        plan = from_here(first, observation)
        for steps, those in (
            (guidance.steps, levels[levels >= UNGUIDED_LEVELS]),
            (0, levels[levels < UNGUIDED_LEVELS]),
        ):
            plan, _ = jax.lax.scan(partial(denoise, guided_steps=steps), plan, those)
        return plan, values(plan, jnp.zeros((), levels.dtype))

    most = PLANS_AT_ONCE_ON_CPU if jax.default_backend() == "cpu" else PLANS_AT_ONCE
    keys = jax.random.split(key, plans)
    drawn, estimates = jax.lax.map(draw, keys, batch_size=min(plans, most))
    chosen = choose(estimates[:, 0], estimates[:, 1], budget)
    return predict(drawn[chosen], jnp.zeros((), levels.dtype))
