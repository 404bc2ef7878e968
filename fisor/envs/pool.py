"""Simulators in separate processes: they step in parallel, and one may fail without the others."""

import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import connection
from typing import Any

import gymnasium
import numpy as np
from tqdm import tqdm

from fisor.config.task import Environment
from fisor.envs.process import Failure, Job, SimulatorProcess
from fisor.envs.simulators import Transition
from fisor.envs.suites import Episode, Outcome, make_environment, suite_of
from fisor.errors import InputError

TIMEOUT_SECONDS = 300.0  # making MetaDrive's environments takes the longest: 9 s each on a core
MOST_FAILURES = 3  # of the same episode or job


class SimulatorPool:
    """Simulators for B episodes in flight (slots), distributed over processes; a context manager.

    A process that dies, raises or does not answer in time is restarted, and its episodes start
    again from their resets. With the same actions, they are the same as before.
    """

    def __init__(
        self,
        task: Environment,
        slots: int,
        *,
        processes: int | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        make: Callable[[Any], gymnasium.Env] = make_environment,
    ) -> None:
        """Start the processes; each makes its environments when they are first used.

        Args:
            task: the task whose environment is simulated.
            slots: B.
            processes: by default one per usable core, or B for a simulator that allows only one
                environment per process.
            timeout_seconds: a process that does not answer for so long counts as hung.
            make: makes an environment; a function that the processes can import.
        """
        if processes is None:
            processes = slots if suite_of(task).one_per_process else min(cores(), slots)
        self._task, self._timeout_seconds = task, timeout_seconds
        self._episodes: dict[int, Episode] = {}  # what each slot runs, or ran last
        self._failures: Counter[Any] = Counter()
        self._workers: list[SimulatorProcess] = []
        try:
            for first in range(processes):
                self._workers.append(SimulatorProcess(task, make, range(first, slots, processes)))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "SimulatorPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop all processes."""
        for worker in self._workers:
            worker.end()

    def advance(
        self, starting: Mapping[int, Episode], stepping: np.ndarray, actions: np.ndarray
    ) -> Outcome:
        """Start episodes in some slots and take one step in others.

        Args:
            starting: the slots in which an episode starts.
            stepping: `[B]` bool, the slots whose episode takes a step.
            actions: `[B, action_dim]` in [-1, 1], of which the stepping ones count.

        Returns:
            The outcome of all slots.

        Raises:
            InputError: an episode failed `MOST_FAILURES` times, or its simulator cannot be made.
        """
        self._episodes.update(starting)
        running = {*starting, *np.flatnonzero(stepping).tolist()}
        started = set(starting)
        results: dict[int, Transition] = {}
        for worker in self._workers:
            worker.send(
                {
                    slot: self._episodes[slot].reset_seed if slot in starting else actions[slot]
                    for slot in worker.slots
                    if slot in running
                }
            )
        while waiting := [worker for worker in self._workers if worker.unanswered]:
            ready = connection.wait([worker.pipe for worker in waiting], self._timeout_seconds)
            for worker in waiting:
                if ready and worker.pipe not in ready:
                    continue
                slot = worker.unanswered[0]
                answer = worker.receive() if ready else self._no_answer()
                if not isinstance(answer, Failure):
                    results[worker.unanswered.pop(0)] = answer
                    continue
                # Episodes that ended before the failure are done; the process's others start again.
                held = [
                    other
                    for other in worker.slots
                    if other in running and not (other in results and _over(results[other]))
                ]
                episode = self._episodes[slot]
                what = (
                    f"seed {episode.seed}, episode {episode.episode} (reset seed "
                    f"{episode.reset_seed})"
                )
                self._report(episode, what, answer, f"this episode and {len(held) - 1} more")
                worker.start()
                worker.send({other: self._episodes[other].reset_seed for other in held})
                started |= set(held)
                for other in held:
                    results.pop(other, None)
        return _outcome(results, started, stepping.size)

    def run(self, jobs: Sequence[Job]) -> list[Any]:
        """Run jobs in parallel, each in an environment of a process that does nothing else.

        A job whose process dies or raises runs again, in a new process.

        Returns:
            The result of each job, in the order of `jobs`.

        Raises:
            InputError: a job raised it, or failed `MOST_FAILURES` times.
        """
        results: dict[int, Any] = {}
        waiting = deque(enumerate(jobs))
        idle, at_work = list(self._workers), dict[SimulatorProcess, int]()
        while len(results) < len(jobs):
            while idle and waiting:
                worker = idle.pop()
                at_work[worker], job = waiting.popleft()
                worker.send({worker.slots[0]: job})
            ready = connection.wait([worker.pipe for worker in at_work])
            for worker in [worker for worker in at_work if worker.pipe in ready]:
                index, answer = at_work[worker], worker.receive()
                if isinstance(answer, Failure):
                    self._report(("job", index), f"job {index}", answer, "this job")
                    worker.start()
                    worker.send({worker.slots[0]: jobs[index]})
                    continue
                results[at_work.pop(worker)] = answer
                idle.append(worker)
        return [results[index] for index in range(len(jobs))]

    def _no_answer(self) -> Failure:
        return Failure(f"no answer within {self._timeout_seconds:g} s")

    def _report(self, who: Any, what: str, failure: Failure, again: str) -> None:
        """Log a failure; raise an `InputError` if it is one or has happened too often."""
        if failure.is_input_error:
            raise InputError(failure.cause)
        self._failures[who] += 1
        failures = self._failures[who]
        text = f"{self._task.name}: the simulator failed in {what}: {failure.cause}"
        if failures >= MOST_FAILURES:
            raise InputError(
                f"{text}; it failed {failures} times. Another seed (`evaluation_seed`, or the seed "
                "of the task's `acquire`) gives other episodes"
            )
        tqdm.write(f"{text}; its process starts anew, and in it {again}", file=sys.stderr)


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0))


def _over(result: Transition) -> bool:
    return result.terminated or result.truncated


def _outcome(results: Mapping[int, Transition], started: set[int], slots: int) -> Outcome:
    observation_dim = next(iter(results.values())).observation.size
    outcome = Outcome(
        observations=np.zeros((slots, observation_dim), np.float32),
        rewards=np.zeros(slots),
        costs=np.zeros(slots),
        over=np.zeros(slots, bool),
        started=np.isin(np.arange(slots), list(started)),
        reached_goal=None,
        left_box=None,
    )
    for slot, result in results.items():
        outcome.observations[slot] = result.observation
        outcome.rewards[slot], outcome.costs[slot] = result.reward, result.cost
        outcome.over[slot] = _over(result)
    return outcome
