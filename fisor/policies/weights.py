"""How much each row of the data counts for the policy: w(s, a) of Eq. 13, and its ablations."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fisor.config.policy import Policy
from fisor.critics.trained import TrainedCritic
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.nn.networks import forward
from fisor.policies.episodes import best, episode_advantages

Array = jax.Array

ROWS_AT_ONCE = 8192  # of the dataset, on the way through the critics


def clipped_exp(exponent: jax.Array, largest: float) -> jax.Array:
    """The exponential of `[...]`, at most `largest`; never overflows on the way."""
    return jnp.exp(jnp.minimum(exponent, jnp.log(largest)))


def policy_weight(
    reward_advantage: jax.Array,
    q_h: jax.Array,
    v_h: jax.Array,
    *,
    feasible_temperature: float | Array,
    infeasible_temperature: float | Array,
    feasible_clip: float,
    infeasible_clip: float,
) -> jax.Array:
    """w(s, a) of Eq. 13, exponentials clipped as in Table 5.

    Where V_h <= 0: exp(alpha_1 A_r), and 0 if Q_h > 0. Elsewhere: exp(-alpha_2 A_h),
    with A_h = Q_h - V_h.

    Args:
        reward_advantage: `[...]` A_r = Q_r - V_r.
        q_h: `[...]` feasible action value.
        v_h: `[...]` feasible value; at most 0 means feasible.
        feasible_temperature: alpha_1.
        infeasible_temperature: alpha_2.
        feasible_clip: largest weight in the feasible region.
        infeasible_clip: largest weight in the infeasible region.

    Returns:
        `[...]` weights, at least 0.
    """
    feasible = clipped_exp(feasible_temperature * reward_advantage, feasible_clip)
    infeasible = clipped_exp(-infeasible_temperature * (q_h - v_h), infeasible_clip)
    return jnp.where(v_h <= 0, jnp.where(q_h <= 0, feasible, 0.0), infeasible)


def deviations(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The standard deviation of each seed's values over some rows.

    Args:
        values: `[seeds, n]`.
        rows: `[seeds, n]` which rows count.

    Returns:
        `[seeds]` float32, above 0: it is 1 where all values are equal or no row counts.
    """
    pairs = zip(values, rows, strict=True)
    found = [own[of].std(dtype=np.float64) if of.any() else 0.0 for own, of in pairs]
    return np.array([deviation or 1.0 for deviation in found], np.float32)


def balanced(weights: np.ndarray, feasible: np.ndarray) -> np.ndarray:
    """Weights whose mean is 1 in the feasible and in the infeasible region.

    Args:
        weights: `[n]`, at least 0.
        feasible: `[n]` whether a row's state is feasible.

    Returns:
        `[n]` weights; where a region's are all 0, they stay 0.
    """
    divided = weights.copy()
    for region in (feasible, ~feasible):
        mean = weights[region].mean(dtype=np.float64) if region.any() else 0.0
        divided[region] /= np.float32(mean or 1.0)
    return divided


class Values(NamedTuple):
    """What weights are made of; arrays `[n]`, or `[seeds, n]`.

    Attributes:
        reward_advantage: A_r = Q_r - V_r; with `best_of_episodes` -V_r, to which returns are added.
        q_h: feasible action value.
        v_h: feasible value.
    """

    reward_advantage: Any
    q_h: Any
    v_h: Any


def data_weights(
    config: Policy,
    data: Transitions,
    episode: np.ndarray,
    feasibility: TrainedCritic,
    reward: TrainedCritic,
) -> np.ndarray:
    """The weight of every transition for every seed, by `policy_weights`.

    `fisor`: w(s, a) of Eq. 13 from the finished critics. `feasible_only`: the same, but 0 in the
    infeasible region (Table 3). `unconstrained`: the clipped exp(alpha_1 A_r) everywhere, as if all
    were feasible (Figure 3). `imitation`: w_IL (Appendix D.6), Eq. 13 with 1 in place of
    exp(alpha_1 A_r), so that rewards play no part.

    Not in the paper: `best_of_episodes` is Eq. 13 with 1 in place of exp(alpha_1 A_r) in the
    `best_share` of the rows with V_h <= 0 and Q_h <= 0, those of largest advantage over the rest of
    their episode, and 0 in the others of these. `normalise_advantages` divides A_r by its standard
    deviation over the rows with V_h <= 0 and Q_h <= 0, and A_h by its own over the rows with
    V_h > 0, separately for each seed. `balance_regions` divides the weights of the rows with
    V_h <= 0 by their mean over these, and those of the other rows likewise.

    Args:
        config: policy_weights, best_share, gamma, Eq. 13's temperatures and clips,
            normalise_advantages and balance_regions.
        data: the dataset, n transitions.
        episode: `[n]` the episode of each row, whose rows follow one another.
        feasibility: Q_h and V_h of every seed.
        reward: Q_r and V_r of every seed.

    Returns:
        `[seeds, n]` weights.

    Raises:
        InputError: a seed's weights are all 0, so that there is nothing to learn from.
    """
    kind = config.policy_weights

    def values(params: Any, s: Array, a: Array) -> Values:
        q_h, v_h, q_r, v_r = params
        reward_advantage = jnp.zeros(s.shape[:1])
        if kind != "imitation":
            reward_advantage = -forward(reward.networks.v, v_r, s)
        if kind not in ("imitation", "best_of_episodes"):
            reward_advantage += forward(reward.networks.q, q_r, s, a).min(axis=0)
        if kind == "unconstrained":
            return Values(reward_advantage, *[jnp.zeros_like(reward_advantage)] * 2)
        return Values(
            reward_advantage,
            forward(feasibility.networks.q, q_h, s, a).max(axis=0),
            forward(feasibility.networks.v, v_h, s),
        )

    def weight(units: tuple[Array, Array], params: Any, s: Array, a: Array) -> tuple[Array, Array]:
        # Values once more, not those that `units` are from: the last bits depend on the program.
        found = values(params, s, a)
        reward_unit, violation_unit = units
        w = policy_weight(
            *found,
            feasible_temperature=config.feasible_temperature / reward_unit,
            infeasible_temperature=config.infeasible_temperature / violation_unit,
            feasible_clip=config.feasible_clip,
            infeasible_clip=config.infeasible_clip,
        )
        feasible = found.v_h <= 0
        return jnp.where(feasible, w, 0.0) if kind == "feasible_only" else w, feasible

    params = feasibility.q, feasibility.v, reward.q, reward.v
    units = (np.ones(config.seeds, np.float32),) * 2
    if config.normalise_advantages:
        reward_advantage, q_h, v_h = _of_every_row(data, values, params)
        units = (
            deviations(reward_advantage, (v_h <= 0) & (q_h <= 0)),
            deviations(q_h - v_h, v_h > 0),
        )
    weights, feasible = _of_every_row(data, weight, units, params)
    if kind == "best_of_episodes":
        minus_values, q_h, _ = _of_every_row(data, values, params)
        advantages = episode_advantages(-minus_values, data, episode, reward, config.gamma)
        for own, of, region, stays in zip(weights, advantages, feasible, q_h <= 0, strict=True):
            own[region] = best(of, region & stays, config.best_share)[region]
    if (idle := np.flatnonzero(weights.max(axis=1) == 0)).size:
        raise InputError(
            f"policy_weights: {kind} gives every row the weight 0 for seed {idle[0]}: its critics "
            "call no row feasible. Train them for longer, or weigh infeasible rows, too"
        )
    if config.balance_regions:
        weights = np.stack([balanced(*own) for own in zip(weights, feasible, strict=True)])
    return weights


def _of_every_row(data: Transitions, function: Callable[..., Any], *of_seeds: Any) -> Any:
    """What a function of (parts of `of_seeds`, observations, actions) makes of all seeds and rows.

    Args:
        data: the dataset, n transitions.
        function: for one seed.
        of_seeds: stacked along `[seeds]`.

    Returns:
        The function's arrays, each `[seeds, n]`.
    """
    every_seed = jax.jit(jax.vmap(function, in_axes=(*[0] * len(of_seeds), None, None)))
    blocks = [
        jax.device_get(
            every_seed(
                *of_seeds,
                data.observations[first : first + ROWS_AT_ONCE],
                data.actions[first : first + ROWS_AT_ONCE],
            )
        )
        for first in range(0, data.observations.shape[0], ROWS_AT_ONCE)
    ]
    return jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *blocks)
