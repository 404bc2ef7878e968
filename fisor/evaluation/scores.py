"""Evaluation: one row per episode, scored as DSRL scores."""

import math
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa

from fisor.agents import Agent
from fisor.config.evaluation import EvaluationStage
from fisor.config.task import Scored
from fisor.envs.pool import SimulatorPool
from fisor.envs.suites import Suite, suite_of
from fisor.evaluation.rollouts import Rollouts, roll_out


def normalised_reward(returns: np.ndarray, task: Scored) -> np.ndarray:
    """(R - r_min) / (r_max - r_min), with the dataset's extreme returns (Appendix D.3)."""
    low, high = task.reference_returns
    return (returns - low) / (high - low)


def normalised_cost(costs: np.ndarray, task: Scored) -> np.ndarray:
    """(C + epsilon) / (l + epsilon) (Appendix D.3); as in DSRL, epsilon is 1 if l is 0, else 0."""
    epsilon = 1.0 if task.cost_limit == 0 else 0.0
    return (costs + epsilon) / (task.cost_limit + epsilon)


def evaluate(agent: Agent, task: EvaluationStage) -> pa.Table:
    """Run a method's policies in the task's environment, all seeds' from the same starts.

    Args:
        agent: what acts.
        task: where, and how many episodes.

    Returns:
        The table of episodes, see `episode_table`.

    Raises:
        InputError: the simulator cannot be made, or an episode fails in it again and again.
    """
    reset_seeds = task.evaluation_seed + np.arange(task.episodes)
    suite = suite_of(task)
    in_flight = episodes_in_flight(task.episodes, suite)
    with (
        nullcontext(suite.batch()) if suite.batch else SimulatorPool(task, agent.seeds * in_flight)
    ) as environment:
        rollouts = roll_out(agent, task, environment, reset_seeds=reset_seeds, in_flight=in_flight)
    feasible = suite.truth.feasible_starts(reset_seeds) if suite.truth else None
    values = start_feasible_values(agent, rollouts.start_observations)
    return episode_table(rollouts, task, reset_seeds, feasible, values)


def start_feasible_values(agent: Agent, starts: np.ndarray) -> np.ndarray | None:
    """V_h of each seed at `[E, obs_dim]` starts, `[S, E]`; None of a method that has none."""
    if agent.feasible_value is None:
        return None
    of_seeds = jax.jit(jax.vmap(agent.feasible_value, in_axes=(0, None)))
    return np.asarray(of_seeds(agent.params, jnp.asarray(starts, jnp.float32)))


def episodes_in_flight(episodes: int, suite: Suite) -> int:
    """How many of a seed's episodes run at once.

    In simulators at most 10; where each takes a process, which takes seconds to start, at most 2.
    Of a batched environment at most 25: an agent acts on all rows until the last episode ends, so
    with all at once, most of its actions would be for episodes that have ended. It does not depend
    on the machine's cores, see `roll_out`. Episodes of equal lengths come in waves of equal sizes.

    Args:
        episodes: in all.
        suite: the simulator.
    """
    most = 25 if suite.batch else 2 if suite.one_per_process else 10
    return math.ceil(episodes / math.ceil(episodes / most))


def episode_table(
    rollouts: Rollouts,
    task: EvaluationStage,
    reset_seeds: np.ndarray,
    feasible: np.ndarray | None,
    start_values: np.ndarray | None,
) -> pa.Table:
    """One row for each seed and episode.

    Args:
        rollouts: from `roll_out`.
        task: for the reference scores, and what acted.
        reset_seeds: `[E]`.
        feasible: `[E]` bool, whether the start was truly feasible; None where nobody knows.
        start_values: `[seeds, E]` V_h of the starts; None of a method that has none.

    Returns:
        Columns task, method, seed, episode, reset_seed, start (observation), start_feasible_value
        (V_h there; null where the method has none), return, cost, normalised_reward,
        normalised_cost, length (steps), violating_steps, first_violation (the first step after
        which the cost is positive, from 1; null where there is none), truly_feasible, reached_goal
        and left_box (null where nobody knows, or there is no goal or no box), and observations
        where they were kept.
    """
    seeds, episodes = rollouts.lengths.shape
    # Summed in float64: a float32 sum of a thousand steps would show in the fourth digit.
    returns = rollouts.rewards.astype(np.float64).sum(0)
    costs = rollouts.costs.astype(np.float64).sum(0)
    violating = rollouts.costs > 0
    first = np.where(violating.any(0), violating.argmax(0) + 1, 0)

    def known(values: np.ndarray | None, kind: pa.DataType) -> Any:
        rows = seeds * episodes
        return pa.nulls(rows, kind) if values is None else pa.array(values.ravel(), kind)

    columns: dict[str, Any] = {
        "task": [task.name] * (seeds * episodes),
        "method": [task.method] * (seeds * episodes),
        "seed": np.repeat(np.arange(seeds), episodes),
        "episode": np.tile(np.arange(episodes), seeds),
        "reset_seed": np.tile(reset_seeds, seeds),
        "start": list(np.tile(rollouts.start_observations, (seeds, 1))),
        "start_feasible_value": known(start_values, pa.float32()),
        "return": returns.ravel(),
        "cost": costs.ravel(),
        "normalised_reward": normalised_reward(returns, task).ravel(),
        "normalised_cost": normalised_cost(costs, task).ravel(),
        "length": rollouts.lengths.ravel(),
        "violating_steps": violating.sum(0).astype(np.int32).ravel(),
        "first_violation": pa.array(first.ravel(), pa.int32(), mask=first.ravel() == 0),
        "truly_feasible": known(None if feasible is None else np.tile(feasible, seeds), pa.bool_()),
        "reached_goal": known(rollouts.reached_goal, pa.bool_()),
        "left_box": known(rollouts.left_box, pa.bool_()),
    }
    if rollouts.observations is not None:
        columns["observations"] = [
            rollouts.observations[: rollouts.lengths[s, e], s, e].tolist()
            for s in range(seeds)
            for e in range(episodes)
        ]
    return pa.table(columns)
