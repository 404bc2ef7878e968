"""Evaluation: a row an episode, scored as DSRL scores."""

import math
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from fisor.acting import PolicyNetworks, PolicyParams
from fisor.envs.point_robot import PointRobotBatch
from fisor.envs.pool import ONE_A_PROCESS, SimulatorPool
from fisor.params import Params
from fisor.rollouts import Rollouts, number_of_seeds, roll_out
from fisor.tasks import Task


def normalised_reward(returns: np.ndarray, task: Task) -> np.ndarray:
    """(R - r_min) / (r_max - r_min), with the dataset's extreme returns (Appendix D.3)."""
    low, high = task.reference_returns
    return (returns - low) / (high - low)


def normalised_cost(costs: np.ndarray, task: Task) -> np.ndarray:
    """(C + epsilon) / (l + epsilon) (Appendix D.3); as in DSRL, epsilon is 1 if l is 0, else 0."""
    epsilon = 1.0 if task.cost_limit == 0 else 0.0
    return (costs + epsilon) / (task.cost_limit + epsilon)


def evaluate(
    networks: PolicyNetworks, params: PolicyParams, task: Task, method: str, settings: Params
) -> pa.Table:
    """Run a method's policies in the task's environment, all seeds' from the same starts.

    Args:
        networks: the policy's definitions.
        params: stacked along `[seeds]`.
        task: where to act.
        method: what acts, such as FISOR.
        settings: N, sampler, episodes and evaluation_seed.

    Returns:
        The table of episodes, see `episode_table`.

    Raises:
        InputError: the simulator cannot be made, or an episode fails in it again and again.
    """
    reset_seeds = settings.evaluation_seed + np.arange(settings.episodes)
    run = partial(
        roll_out,
        networks._replace(sampler=settings.sampler),
        params,
        task,
        reset_seeds=reset_seeds,
        candidates=settings.N,
        seed=settings.evaluation_seed,
    )
    if task.suite == "point_robot":
        batch = PointRobotBatch()
        rollouts = run(batch, in_flight=settings.episodes)
        return episode_table(rollouts, task, method, reset_seeds, batch.truly_feasible(reset_seeds))
    in_flight = episodes_in_flight(task, settings.episodes)
    with SimulatorPool(task, number_of_seeds(params) * in_flight) as pool:
        return episode_table(run(pool, in_flight=in_flight), task, method, reset_seeds, None)


def episodes_in_flight(task: Task, episodes: int) -> int:
    """How many of a seed's episodes run in simulators at once.

    It does not depend on the machine's cores, see `roll_out`. Episodes of equal lengths come in
    waves of equal sizes.
    """
    most = 2 if task.suite in ONE_A_PROCESS else 10  # such processes take seconds to start
    return math.ceil(episodes / math.ceil(episodes / most))


def episode_table(
    rollouts: Rollouts,
    task: Task,
    method: str,
    reset_seeds: np.ndarray,
    feasible: np.ndarray | None,
) -> pa.Table:
    """A row for each seed and episode.

    Args:
        rollouts: from `roll_out`.
        task: for the reference scores.
        method: what acted, such as FISOR.
        reset_seeds: `[E]`.
        feasible: `[E]` bool, whether the start was truly feasible; None where nobody knows.

    Returns:
        Columns task, method, seed, episode, reset_seed, start (observation), return, cost,
        normalised_reward, normalised_cost, length (steps), violating_steps, first_violation (the
        first step after which the cost is positive, from 1; null where there is none),
        truly_feasible and reached_goal (null where nobody knows, or there is no goal), and
        observations where they were kept.
    """
    seeds, episodes = rollouts.lengths.shape
    # Summed in float64: a float32 sum of a thousand steps would show in the fourth digit.
    returns = rollouts.rewards.astype(np.float64).sum(0)
    costs = rollouts.costs.astype(np.float64).sum(0)
    violating = rollouts.costs > 0
    first = np.where(violating.any(0), violating.argmax(0) + 1, 0)
    unknown = pa.nulls(seeds * episodes, pa.bool_())
    columns: dict[str, Any] = {
        "task": [task.name] * (seeds * episodes),
        "method": [method] * (seeds * episodes),
        "seed": np.repeat(np.arange(seeds), episodes),
        "episode": np.tile(np.arange(episodes), seeds),
        "reset_seed": np.tile(reset_seeds, seeds),
        "start": list(np.tile(rollouts.start_observations, (seeds, 1))),
        "return": returns.ravel(),
        "cost": costs.ravel(),
        "normalised_reward": normalised_reward(returns, task).ravel(),
        "normalised_cost": normalised_cost(costs, task).ravel(),
        "length": rollouts.lengths.ravel(),
        "violating_steps": violating.sum(0).astype(np.int32).ravel(),
        "first_violation": pa.array(first.ravel(), pa.int32(), mask=first.ravel() == 0),
        "truly_feasible": unknown if feasible is None else np.tile(feasible, seeds),
        "reached_goal": (
            unknown if rollouts.reached_goal is None else rollouts.reached_goal.ravel()
        ),
    }
    if rollouts.observations is not None:
        columns["observations"] = [
            rollouts.observations[: rollouts.lengths[s, e], s, e].tolist()
            for s in range(seeds)
            for e in range(episodes)
        ]
    return pa.table(columns)
