"""A dataset like DSRL's from a task's simulator: explore, keep every episode, thin them out.

Each roll-out is saved together with the state after it, so that an interrupted collection resumes
from its last roll-out, and gives the same bytes as one that was not interrupted.
"""

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from fisor.code import closure_hash
from fisor.collect import driving, learner, thinning
from fisor.collect.episodes import Job, Trajectory, sizes
from fisor.config.data import AcquireStage
from fisor.data.coverage import coverage
from fisor.envs.pool import SimulatorPool, cores
from fisor.envs.suites import suite_of
from fisor.errors import InputError
from fisor.nn import checkpoint
from fisor.outputs import atomic_directory

EPISODES = "episodes.npz"


class Explorer(Protocol):
    """Decides what acts; its state is a pytree of arrays."""

    def init(self) -> Any:
        """The state before the first roll-out."""

    def begin(self, state: Any, done: float) -> Any:
        """The state for the next roll-out, when the share `done` of the budget of steps is used."""

    def jobs(self, state: Any, iteration: int) -> list[Job]:
        """The episodes of a roll-out."""

    def learn(self, state: Any, iteration: int, done: float, streams: list[Trajectory]) -> Any:
        """The state after it."""


def _explorer(task: AcquireStage, observation_dim: int, action_dim: int) -> Explorer:
    assert task.acquire.seed is not None
    assert task.acquire.highest_cost is not None
    if suite_of(task).behaviour == "driver":
        return driving.Sweep(task.acquire.seed)
    return learner.Learner(
        observation_dim,
        action_dim,
        horizon_steps=task.horizon_steps,
        highest_cost=task.acquire.highest_cost,
        discount=task.acquire.discount,
        seed=task.acquire.seed,
    )


def collect(task: AcquireStage, folder: str | Path) -> dict[str, np.ndarray]:
    """Explore for the task's number of steps, and thin out what was seen.

    Args:
        task: the task, with the size of the dataset to collect.
        folder: folder of the roll-outs; if it has some of the same settings and code, the
            collection resumes after them. The caller removes it once the dataset is written.

    Returns:
        DSRL's fields, whole episodes one after another in the order of their collection. Actions
        are those that were applied, clipped to [-1, 1].

    Raises:
        InputError: the simulator cannot be used, or no episode is within the task's bounds.
    """
    folder = Path(folder)
    assert task.acquire.episodes is not None
    assert task.acquire.highest_cost is not None
    explore(task, folder)
    returns, costs = _episodes_seen(folder)
    kept = thinning.select(
        costs,
        returns,
        highest_cost=task.acquire.highest_cost,
        lowest_return=task.reference_returns[0],
        episodes=task.acquire.episodes,
        generator=np.random.default_rng(task.acquire.seed),
    )
    if kept.size == 0:
        raise InputError(
            f"tasks.yaml: {task.name}: none of {costs.size} episodes seen costs at most "
            f"acquire.highest_cost {task.acquire.highest_cost:g} and returns at least the lowest "
            f"of reference_returns {task.reference_returns[0]:g}; costs are {costs.min():g} to "
            f"{costs.max():g}, returns {returns.min():g} to {returns.max():g}"
        )
    found = coverage(
        task.name, task.reference_returns, task.acquire.highest_cost, returns[kept], costs[kept]
    )
    print(found.message, file=sys.stderr)
    return _fields(folder, kept)


def explore(task: AcquireStage, folder: Path) -> None:
    """Save roll-outs to `folder`, resuming after the last one there of this same collection."""
    assert task.acquire.environment_steps is not None
    # Through JSON, like the stored one that it is compared with.
    identity = json.loads(json.dumps(asdict(task))) | {"code": closure_hash(__name__)}
    with SimulatorPool(task, cores(), processes=cores()) as pool:
        observation_dim, action_dim = pool.run([sizes])[0]
        explorer = _explorer(task, observation_dim, action_dim)
        state, iteration, steps = _resume(folder, identity, explorer)
        budget = task.acquire.environment_steps
        with tqdm(
            desc=f"collect {task.name}",
            total=budget,
            initial=min(steps, budget),
            unit="step",
            unit_scale=True,
            disable=None,
        ) as bar:
            while steps < budget:
                done = steps / budget
                state = explorer.begin(state, done)
                streams = pool.run(explorer.jobs(state, iteration))
                state = explorer.learn(state, iteration, done, streams)
                new = sum(stream.rewards.size for stream in streams)
                with atomic_directory(_place(folder, iteration)) as partial:
                    _write_episodes(partial / EPISODES, streams)
                    checkpoint.save(partial, state, {**identity, "steps": steps + new})
                (_place(folder, iteration - 1) / checkpoint.PARAMS).unlink(missing_ok=True)
                bar.update(min(new, budget - steps))
                steps, iteration = steps + new, iteration + 1


def _place(folder: Path, iteration: int) -> Path:
    return folder / f"{iteration:06d}"


def _rollouts(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*"))


def _resume(folder: Path, identity: dict[str, Any], explorer: Explorer) -> tuple[Any, int, int]:
    """The state, the number of roll-outs and the number of steps that are done."""
    if there := _rollouts(folder):
        config = checkpoint.load_config(there[-1])
        steps = config.pop("steps")
        if config == identity:
            print(f"going on from step {steps} in {folder}", file=sys.stderr)
            return checkpoint.load(there[-1], explorer.init), len(there), steps
        print(f"{folder}: of other settings or code; collecting from nothing", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    return explorer.init(), 0, 0


def _write_episodes(path: Path, streams: list[Trajectory]) -> None:
    """One file per roll-out, without next observations, which follow from the rest."""
    joined = Trajectory(*(np.concatenate(fields) for fields in zip(*streams, strict=True)))
    ends = joined.terminals | joined.timeouts
    np.savez(
        path,
        observations=joined.observations,
        actions=np.clip(joined.actions, -1.0, 1.0),
        last_observations=joined.next_observations[ends],
        rewards=joined.rewards,
        costs=joined.costs,
        terminals=joined.terminals,
        timeouts=joined.timeouts,
    )


def _episodes_seen(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return and cost of every episode, in the order of their collection."""
    sums: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for rollout in _rollouts(folder):
        with np.load(rollout / EPISODES, allow_pickle=False) as file:
            ends = np.flatnonzero(file["terminals"] | file["timeouts"])
            first = np.concatenate([[0], ends[:-1] + 1])
            for name, out in zip(("rewards", "costs"), sums, strict=True):
                out.append(np.add.reduceat(file[name].astype(np.float64), first))
    returns, costs = map(np.concatenate, sums)
    return returns, costs


def _fields(folder: Path, kept: np.ndarray) -> dict[str, np.ndarray]:
    """DSRL's fields of the episodes `kept`, numbers in ascending order."""
    parts = []
    before = 0
    for rollout in _rollouts(folder):
        with np.load(rollout / EPISODES, allow_pickle=False) as file:
            arrays = dict(file)
        ends = arrays["terminals"] | arrays["timeouts"]
        last_observations = arrays.pop("last_observations")
        next_observations = np.roll(arrays["observations"], -1, axis=0)
        next_observations[ends] = last_observations
        episode = before + np.concatenate([[0], np.cumsum(ends)[:-1]])
        rows = np.isin(episode, kept)
        arrays["next_observations"] = next_observations
        parts.append({name: values[rows] for name, values in arrays.items()})
        before += last_observations.shape[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
