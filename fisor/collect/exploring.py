"""A dataset like DSRL's from a task's simulator: explore, keep every episode, thin them out.

Each roll-out is saved together with the state after it, so that an interrupted collection resumes
from its last roll-out, and gives the same bytes as one that was not interrupted.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from fisor.code import closure_hash
from fisor.collect import driving, learner, thinning
from fisor.collect.episodes import Job, Trajectory, sizes
from fisor.collect.parts import LEARNERS
from fisor.config.data import AcquireStage
from fisor.envs.pool import SimulatorPool, cores
from fisor.envs.suites import suite_of
from fisor.nn import checkpoint
from fisor.outputs import atomic_directory

EPISODES = "episodes.npz"


class Explorer(Protocol):
    """Decides what acts; its state is a pytree of arrays."""

    def init(self) -> Any:
        """The state before the first roll-out."""

    def jobs(self, state: Any, iteration: int) -> list[Job]:
        """The episodes of a roll-out."""

    def learn(self, state: Any, iteration: int, steps: int, streams: list[Trajectory]) -> Any:
        """The state after it; `steps` were done before it."""


def collect(task: AcquireStage, folder: Path) -> dict[str, np.ndarray]:
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
    folders = {number: folder / str(number) for number in _explorers(task)}
    _explore(task, folders)
    return thinning.thinned(task, [piece for own in folders.values() for piece in _pieces(own)])


def collect_by_learner(task: AcquireStage, number: int, folder: Path) -> dict[str, np.ndarray]:
    """All episodes of one of the task's learners, with the arrays of `thinning.Piece`.

    Args:
        task: as for `collect`.
        number: which learner.
        folder: as for `collect`.

    Raises:
        InputError: the simulator cannot be used.
    """
    _explore(task, {number: folder})
    arrays: dict[str, list[np.ndarray]] = {}
    for opened in _pieces(folder):
        with opened() as piece:
            for name, values in piece.items():
                arrays.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in arrays.items()}


def _explorers(task: AcquireStage) -> tuple[int, ...]:
    return LEARNERS if suite_of(task).behaviour == "learners" else (0,)


def _explorer(
    task: AcquireStage, number: int, share_steps: int, observation_dim: int, action_dim: int
) -> Explorer:
    assert task.acquire.seed is not None
    assert task.acquire.highest_cost is not None
    if suite_of(task).behaviour == "driver":
        return driving.Sweep(task.acquire.seed)
    return learner.Learner(
        observation_dim,
        action_dim,
        schedule=number,
        share_steps=share_steps,
        horizon_steps=task.horizon_steps,
        highest_cost=task.acquire.highest_cost,
        discount=task.acquire.discount,
        seed=task.acquire.seed,
    )


def _explore(task: AcquireStage, folders: Mapping[int, Path]) -> None:
    """Save the roll-outs of some of the task's explorers, each to its folder.

    Each has an equal share of the task's steps, and ends with the roll-out that reaches it.
    """
    assert task.acquire.environment_steps is not None
    share_steps = -(-task.acquire.environment_steps // len(_explorers(task)))
    with (
        SimulatorPool(task, cores(), processes=cores()) as pool,
        tqdm(
            desc=f"collect {task.name}",
            total=share_steps * len(folders),
            unit="step",
            unit_scale=True,
            disable=None,
        ) as bar,
    ):
        dims = pool.run([sizes])[0]
        for number, folder in folders.items():
            explorer = _explorer(task, number, share_steps, *dims)
            _roll_out(task, explorer, share_steps, folder, pool, bar)


def _roll_out(
    task: AcquireStage,
    explorer: Explorer,
    share_steps: int,
    folder: Path,
    pool: SimulatorPool,
    bar: tqdm,
) -> None:
    """Save an explorer's roll-outs, after those that are there of this same collection."""
    # Through JSON, like the stored one that it is compared with.
    identity = json.loads(json.dumps(asdict(task))) | {"code": closure_hash(__name__)}
    state, iteration, steps = _resume(folder, identity, explorer)
    bar.update(min(steps, share_steps))
    while steps < share_steps:
        streams = pool.run(explorer.jobs(state, iteration))
        state = explorer.learn(state, iteration, steps, streams)
        new = sum(stream.rewards.size for stream in streams)
        with atomic_directory(_place(folder, iteration)) as unfinished:
            _write_episodes(unfinished / EPISODES, streams)
            checkpoint.save(unfinished, state, {**identity, "steps": steps + new})
        (_place(folder, iteration - 1) / checkpoint.PARAMS).unlink(missing_ok=True)
        bar.update(min(new, share_steps - steps))
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


def _pieces(folder: Path) -> list[thinning.Piece]:
    return [
        partial(np.load, rollout / EPISODES, allow_pickle=False) for rollout in _rollouts(folder)
    ]
