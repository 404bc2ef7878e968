"""Whole episodes, run in worker processes that hold a simulator each and do not load JAX.

What comes back depends on the jobs alone, not on how many workers there are or which is faster.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np

from fisor.envs import make_environment
from fisor.errors import InputError
from fisor.tasks import Task

Act = Callable[[np.ndarray], np.ndarray]  # [obs_dim] -> [action_dim], unbounded


class Actor(Protocol):
    """What acts in an episode; it travels to a worker."""

    def start(self, environment: gymnasium.Env, generator: np.random.Generator) -> Act:
        """Begin an episode of `environment`, just reset, with noise from `generator`."""


class Job(NamedTuple):
    """Episodes for one worker to run, one after another.

    Attributes:
        actor: acts.
        entropy: whole numbers, at least 0, from which everything random follows.
        least_steps: no further episode is begun once so many steps are done.
    """

    actor: Actor
    entropy: tuple[int, ...]
    least_steps: int


class Trajectory(NamedTuple):
    """Whole episodes one after another, n steps in all.

    Attributes:
        observations: `[n, obs_dim]` float32, before each step.
        actions: `[n, action_dim]` float32, as the actor gave them: not clipped.
        next_observations: `[n, obs_dim]` float32.
        rewards: `[n]` float32.
        costs: `[n]` float32, of the state after the step.
        terminals: `[n]` bool.
        timeouts: `[n]` bool.
    """

    observations: np.ndarray
    actions: np.ndarray
    next_observations: np.ndarray
    rewards: np.ndarray
    costs: np.ndarray
    terminals: np.ndarray
    timeouts: np.ndarray


def run_job(environment: gymnasium.Env, job: Job) -> Trajectory:
    """Run a job's episodes in `environment`, whatever ran in it before."""
    noise, starts = map(np.random.default_rng, np.random.SeedSequence(job.entropy).spawn(2))
    rows: list[tuple] = []
    while len(rows) < job.least_steps:
        observation, _ = environment.reset(seed=int(starts.integers(2**32)))
        act = job.actor.start(environment, noise)
        over = False
        while not over:
            action = act(observation)
            after, reward, terminal, timeout, info = environment.step(action)
            rows.append((observation, action, after, reward, info["cost"], terminal, timeout))
            observation, over = after, terminal or timeout
    columns = zip(*rows, strict=True)
    kinds = (np.float32,) * 5 + (np.bool_,) * 2
    return Trajectory._make(np.asarray(c, k) for c, k in zip(columns, kinds, strict=True))


def _serve(task: Task, pipe: connection.Connection) -> None:
    """A worker: sends its environment's sizes, then answers jobs until its owner is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, who then closes
    try:
        environment = make_environment(task)
    except InputError as error:
        pipe.send(error)
        return
    pipe.send((environment.observation_space.shape, environment.action_space.shape))
    with suppress(EOFError):
        while True:
            job = pipe.recv()
            try:
                pipe.send(run_job(environment, job))
            except InputError as error:
                pipe.send(error)
    environment.close()


def _receive(pipe: connection.Connection) -> Any:
    try:
        answer = pipe.recv()
    except EOFError:
        raise RuntimeError("a simulator's process ended early; see what it printed") from None
    if isinstance(answer, InputError):
        raise answer
    return answer


class Workers:
    """Processes that run jobs in a task's simulator; made by `workers`.

    Attributes:
        observation_dim: entries of an observation.
        action_dim: entries of an action.
    """

    observation_dim: int
    action_dim: int

    def __init__(self) -> None:
        """None yet."""
        self._processes: list[Any] = []
        self._pipes: list[connection.Connection] = []

    def start(self, task: Task, processes: int) -> None:
        """Start the processes, and wait until each has made its environment.

        Raises:
            InputError: the simulator cannot be imported, or does not have the environment.
            RuntimeError: a process ended, by an error that it printed or killed.
        """
        context = multiprocessing.get_context("spawn")
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(task, theirs), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes.append(ours)
        for pipe in self._pipes:
            (self.observation_dim,), (self.action_dim,) = _receive(pipe)

    def run(self, jobs: Sequence[Job]) -> list[Trajectory]:
        """Run jobs side by side.

        Returns:
            What each job gives, in the order of `jobs`.

        Raises:
            InputError: what the environment refuses.
            RuntimeError: a process ended, by an error that it printed or killed.
        """
        results: dict[int, Trajectory] = {}
        waiting = list(enumerate(jobs))[::-1]
        at_work: dict[Any, int] = {}
        idle = list(self._pipes)
        while len(results) < len(jobs):
            while idle and waiting:
                index, job = waiting.pop()
                pipe = idle.pop()
                pipe.send(job)
                at_work[pipe] = index
            for ready in connection.wait(list(at_work)):
                assert isinstance(ready, connection.Connection)
                results[at_work.pop(ready)] = _receive(ready)
                idle.append(ready)
        return [results[index] for index in range(len(jobs))]

    def close(self) -> None:
        """Stop the workers, in the middle of a job if need be."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=2)
            process.kill()
            process.join()


@contextmanager
def workers(task: Task) -> Iterator[Workers]:
    """Workers for a task, one a core; gone after the block."""
    started = Workers()
    try:
        started.start(task, len(os.sched_getaffinity(0)))
        yield started
    finally:
        started.close()
