"""Evaluation: all episodes and seeds step together; a row an episode, scored as DSRL scores."""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa
from tqdm import tqdm

from fisor import policy
from fisor.envs.point_robot import PointRobotBatch
from fisor.policy import PolicyNetworks, PolicyParams
from fisor.tasks import Task


class Rollouts(NamedTuple):
    """What happened: S seeds, E episodes each, up to the horizon's H steps.

    Attributes:
        rewards: `[H, S, E]`.
        costs: `[H, S, E]` cost of the state after the step.
        lengths: `[S, E]` steps until the episode ended.
        reached_goal: `[S, E]` bool.
        observations: `[H, S, E, obs_dim]` before each step; None where they were not kept.
        start_observations: `[E, obs_dim]`.
    """

    rewards: np.ndarray
    costs: np.ndarray
    lengths: np.ndarray
    reached_goal: np.ndarray
    observations: np.ndarray | None
    start_observations: np.ndarray


def normalised_reward(returns: np.ndarray, task: Task) -> np.ndarray:
    """(R - r_min) / (r_max - r_min), with the dataset's extreme returns (Appendix D.3)."""
    low, high = task.reference_returns
    return (returns - low) / (high - low)


def normalised_cost(costs: np.ndarray, task: Task) -> np.ndarray:
    """(C + epsilon) / (l + epsilon) (Appendix D.3); as in DSRL, epsilon is 1 if l is 0, else 0."""
    epsilon = 1.0 if task.cost_limit == 0 else 0.0
    return (costs + epsilon) / (task.cost_limit + epsilon)


def roll_out(
    networks: PolicyNetworks,
    params: PolicyParams,
    task: Task,
    environment: PointRobotBatch,
    reset_seeds: np.ndarray,
    *,
    candidates: int,
    seed: int,
) -> Rollouts:
    """Run every training seed's policy from the same starts.

    Args:
        networks: the policy's definitions.
        params: stacked along `[seeds]`.
        task: for the horizon and what to keep.
        environment: steps S x E robots.
        reset_seeds: `[E]` seeds of the starts.
        candidates: N.
        seed: of the policies' randomness.

    Returns:
        The rollouts; what follows an episode's end is zero.
    """
    seeds = jax.tree.leaves(params)[0].shape[0]
    shape = (seeds, reset_seeds.size)
    act = jax.jit(jax.vmap(partial(policy.act, networks, candidates=candidates)))
    seed_keys = jax.vmap(lambda index: jax.random.fold_in(jax.random.key(seed), index))(
        np.arange(seeds)
    )
    observations = environment.reset(np.tile(reset_seeds, seeds)).reshape(*shape, -1)
    starts = observations[0]
    over = np.zeros(shape, bool)
    lengths, reached_goal = np.zeros(shape, np.int32), np.zeros(shape, bool)
    rewards, costs = [], []
    kept: list[np.ndarray] = []
    steps = range(task.horizon_steps)
    for step in tqdm(steps, desc=f"evaluate {task.name}", unit="step", disable=None):
        if over.all():
            break
        keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(seed_keys, step)
        actions = np.asarray(act(params, observations, keys))
        result = environment.step(actions.reshape(over.size, -1))
        if task.record_observations:
            kept.append(np.where(over[..., None], 0, observations))
        rewards.append(np.where(over, 0, result.rewards.reshape(shape)))
        costs.append(np.where(over, 0, result.costs.reshape(shape)))
        reached_goal |= ~over & result.reached_goal.reshape(shape)
        lengths += ~over
        over |= result.terminated.reshape(shape)
        observations = result.observations.reshape(*shape, -1)
    return Rollouts(
        rewards=np.stack(rewards),
        costs=np.stack(costs),
        lengths=lengths,
        reached_goal=reached_goal,
        observations=np.stack(kept) if kept else None,
        start_observations=starts,
    )


def episode_table(
    rollouts: Rollouts, task: Task, method: str, reset_seeds: np.ndarray, feasible: np.ndarray
) -> pa.Table:
    """A row for each seed and episode.

    Args:
        rollouts: from `roll_out`.
        task: for the reference scores.
        method: what acted, such as FISOR.
        reset_seeds: `[E]`.
        feasible: `[E]` bool, whether the start was truly feasible.

    Returns:
        Columns task, method, seed, episode, reset_seed, start (observation), return, cost,
        normalised_reward, normalised_cost, length (steps), violating_steps, first_violation (the
        first step after which the cost is positive, from 1; null where there is none),
        truly_feasible, reached_goal, and observations where they were kept.
    """
    seeds, episodes = rollouts.lengths.shape
    # Summed in float64: a float32 sum of a thousand steps would show in the fourth digit.
    returns = rollouts.rewards.astype(np.float64).sum(0)
    costs = rollouts.costs.astype(np.float64).sum(0)
    violating = rollouts.costs > 0
    first = np.where(violating.any(0), violating.argmax(0) + 1, 0)
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
        "truly_feasible": np.tile(feasible, seeds),
        "reached_goal": rollouts.reached_goal.ravel(),
    }
    if rollouts.observations is not None:
        columns["observations"] = [
            rollouts.observations[: rollouts.lengths[s, e], s, e].tolist()
            for s in range(seeds)
            for e in range(episodes)
        ]
    return pa.table(columns)
