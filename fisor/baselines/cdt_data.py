"""CDT's data: windows of episodes, labelled with sums to go, their own and augmented ones."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fisor.baselines.baseline import Problem
from fisor.baselines.cdt_network import Window
from fisor.config.task import Prompts
from fisor.data.transitions import Transitions, episode_sums
from fisor.errors import InputError

Array = jax.Array

CELLS = 10, 50  # of costs and returns, by which outliers are left out of the augmentation
MOST_IN_A_CELL, FEWEST_IN_A_CELL = 10, 3
LEAST_RISE = 1.0  # of an augmented return above the frontier
# Of the range of returns, where no prompts are given: medians over DSRL's tasks of those published.
RETURN_RISE, RETURN_DECREASE, FRONTIER_DEGREE = 0.1, 0.2, 1


class Rows(NamedTuple):
    """The dataset as windows are gathered from it; `[n]` each, or `[n, dim]`."""

    returns: Any
    costs_to_go: Any
    observations: Any
    actions: Any
    costs: Any
    step: Any
    episode: Any


class Outcomes(NamedTuple):
    """What each episode comes to.

    Attributes:
        returns: `[episodes]` its rewards' sum.
        costs: `[episodes]` its costs' sum.
    """

    returns: np.ndarray
    costs: np.ndarray


class Labels(NamedTuple):
    """The labels of every episode, in its order: (0, 0) for its own sums, and augmented ones.

    Attributes:
        returns: `[labels]` what is added to an episode's returns to go.
        costs: `[labels]` what is added to its costs to go.
        upto: `[labels]` running sum of the labels' weights.
        first: `[episodes]` the number of an episode's first label.
        last: `[episodes]` and of its last one.
        weights: `[episodes]` sum of its labels' weights.
    """

    returns: np.ndarray
    costs: np.ndarray
    upto: np.ndarray
    first: np.ndarray
    last: np.ndarray
    weights: np.ndarray

    def draw(self, episode: Array, key: Array) -> tuple[Array, Array]:
        """Additions to the returns and costs to go, for windows of `[B]` episodes, `[B]` each.

        A label is drawn in proportion to its weight among its episode's. Consumes `key`.
        """
        upto, first, last = (jnp.asarray(array) for array in (self.upto, self.first, self.last))
        below = jnp.where(first[episode] > 0, upto[first[episode] - 1], 0.0)
        share = jax.random.uniform(key, episode.shape)
        at = jnp.searchsorted(upto, below + share * (upto[last[episode]] - below), side="right")
        label = jnp.clip(at, first[episode], last[episode])
        return jnp.asarray(self.returns)[label], jnp.asarray(self.costs)[label]


def to_go(values: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """Sums from each row to its episode's end, `[n]` float64.

    Args:
        values: `[n]` rewards or costs.
        episode: `[n]` number of each one's episode, from 0, in order.
    """
    upto = np.cumsum(values, dtype=np.float64)
    ends = np.flatnonzero(np.diff(episode, append=episode[-1] + 1))
    return upto[ends][episode] - upto + values


def rows_of(problem: Problem, data: Transitions) -> Rows:
    """The dataset with its sums to go."""
    returns, costs = (
        to_go(values, problem.episode).astype(np.float32) for values in (data.rewards, data.costs)
    )
    return Rows(
        returns,
        costs,
        data.observations,
        data.actions,
        data.costs,
        problem.step.astype(np.int32),
        problem.episode.astype(np.int32),
    )


def window_of(rows: Rows, labels: Labels, key: Array) -> Window:
    """Windows of the dataset, labelled. Consumes `key`.

    Args:
        rows: `[B, K]` each, as they lie in the data: those beyond an episode's end are another's.
        labels: of every episode.
        key: a JAX key.
    """
    more_return, more_cost = labels.draw(rows.episode[:, 0], key)
    after = jnp.arange(rows.step.shape[1])[None]
    return Window(
        returns=rows.returns + more_return[:, None],
        costs=rows.costs_to_go + more_cost[:, None],
        observations=rows.observations,
        actions=rows.actions,
        time=rows.step,
        there=rows.step == rows.step[:, :1] + after,
    )


def outcomes(problem: Problem, data: Transitions) -> Outcomes:
    """What each episode of the dataset comes to."""
    return Outcomes(*(episode_sums(problem.episode, v) for v in (data.rewards, data.costs)))


def from_dataset(episodes: Outcomes, cost_limit: float) -> Prompts:
    """Prompts for a task without published ones.

    The target is the best return among the episodes within the limit, or of least cost if there
    are none.
    """
    low, high = float(episodes.returns.min()), float(episodes.returns.max())
    within = episodes.costs <= max(cost_limit, float(episodes.costs.min()))
    return Prompts(
        target_return=float(episodes.returns[within].max()),
        frontier_degree=FRONTIER_DEGREE,
        highest_return=high + RETURN_RISE * (high - low),
        return_decrease=RETURN_DECREASE * (high - low),
    )


def labels_of(
    episodes: Outcomes, prompts: Prompts, augmented_share: float, highest_cost: float
) -> Labels:
    """The labels of every episode, each weighing max(highest_cost - its cost, 0).

    Args:
        episodes: the dataset's.
        prompts: how to augment.
        augmented_share: labels to add, as a share of the episodes that are no outliers.
        highest_cost: labels of higher cost are never drawn.

    Raises:
        InputError: no label is ever drawn.
    """
    source, targets = augmented(episodes, prompts, augmented_share, np.random.default_rng(0))
    count = episodes.costs.size
    source = np.concatenate([np.arange(count), source])
    returns, costs = (np.concatenate(pair) for pair in zip(episodes, targets, strict=True))
    order = np.argsort(source, kind="stable")
    source, returns, costs = source[order], returns[order], costs[order]
    weights = np.maximum(highest_cost - costs, 0.0)
    if not weights.any():
        raise InputError(
            "params.yaml: methods.CDT.train.highest_sampled_cost must be above the cost of the "
            f"cheapest episode, {episodes.costs.min():g}, not {highest_cost:g}: none would be drawn"
        )
    return Labels(
        returns=(returns - episodes.returns[source]).astype(np.float32),
        costs=(costs - episodes.costs[source]).astype(np.float32),
        upto=np.cumsum(weights).astype(np.float32),
        first=np.searchsorted(source, np.arange(count), side="left").astype(np.int32),
        last=(np.searchsorted(source, np.arange(count), side="right") - 1).astype(np.int32),
        weights=np.bincount(source, weights),
    )


def augmented(
    episodes: Outcomes, prompts: Prompts, share: float, draw: np.random.Generator
) -> tuple[np.ndarray, Outcomes]:
    """Labels better than the data, for episodes near them (Liu et al., ICML 2023).

    Costs are spread evenly over the data's. To each belongs a return drawn between the frontier, a
    polynomial fitted to the Pareto-optimal episodes, and `highest_return`. Such a pair labels the
    nearest episode of no higher cost. Where several have the same nearest one, further pairs label
    episodes drawn by nearness to it, of no higher cost and at most `return_decrease` less return.

    Returns:
        `[augmented]` numbers of episodes, and the returns and costs that they are labelled with.
    """
    kept = without_outliers(episodes, draw)
    if kept.size == 0:
        return kept, Outcomes(np.zeros(0), np.zeros(0))
    returns, costs = episodes.returns[kept], episodes.costs[kept]
    best = pareto_optimal(returns, costs)
    degree = min(prompts.frontier_degree, np.unique(costs[best]).size - 1)
    frontier = np.polyfit(costs[best], returns[best], degree)

    target_costs = np.linspace(costs.min(), costs.max(), int(share * kept.size))
    lowest = np.polyval(frontier, target_costs) + LEAST_RISE
    rise = (prompts.highest_return - lowest) * draw.random(target_costs.size)
    targets = Outcomes(lowest + rise, target_costs)

    source, taken = np.zeros(target_costs.size, np.int64), set()
    for index, (target_return, target_cost) in enumerate(zip(*targets, strict=True)):
        distance = np.hypot(costs - target_cost, returns - target_return)
        nearest = int(np.argmin(np.where(costs <= target_cost, distance, np.inf)))
        chosen = nearest
        if nearest in taken:
            lost = returns[nearest] - returns
            near = (costs <= costs[nearest]) & (lost <= prompts.return_decrease)
            nearness = near / (1 + np.hypot(costs - costs[nearest], lost))
            chosen = int(draw.choice(kept.size, p=nearness / nearness.sum()))
        taken.add(nearest)
        source[index] = kept[chosen]
    return source, targets


def without_outliers(episodes: Outcomes, draw: np.random.Generator) -> np.ndarray:
    """Numbers of the episodes, thinned to at most 10 per cell of a grid, sparse cells left out."""
    cells = []
    for values, count in zip((episodes.costs, episodes.returns), CELLS, strict=True):
        low, width = values.min(), (values.max() - values.min()) / count
        cells.append(np.floor((values - low) / width) if width > 0 else np.zeros(values.size))
    _, cell = np.unique(np.stack(cells, axis=1), axis=0, return_inverse=True)
    kept = []
    for number in range(cell.max() + 1):
        inside = np.flatnonzero(cell == number)
        if inside.size > MOST_IN_A_CELL:
            inside = draw.choice(inside, MOST_IN_A_CELL, replace=False)
        if inside.size >= FEWEST_IN_A_CELL:
            kept.append(inside)
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, np.int64)


def pareto_optimal(returns: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Which episodes no other one beats, `[episodes]` bool.

    One beats another by a higher return at no higher cost, or a lower cost at no lower return.
    """
    no_worse = (returns >= returns[:, None]) & (costs <= costs[:, None])
    better = (returns > returns[:, None]) | (costs < costs[:, None])
    return np.logical_not((no_worse & better).any(axis=1))
