"""Simulators in processes of their own: they step side by side, and one may fail without the rest.

A process is started as `python -m fisor.envs.pool`. One of multiprocessing's would import the
program's main module, and with it JAX, which no simulator needs.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from multiprocessing import connection
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from tqdm import tqdm

from fisor.envs import Episode, Outcome, make_environment
from fisor.errors import InputError
from fisor.tasks import Task

ONE_A_PROCESS = frozenset({"metadrive"})  # suites whose engine is its process's only one
TIMEOUT_SECONDS = 300.0  # making MetaDrive's environments takes the longest: 9 s each on a core
MOST_FAILURES = 3  # of the same episode


class Reply(NamedTuple):
    """What a process answers for one episode; an error leaves the rest out."""

    observation: np.ndarray | None = None
    reward: float = 0.0
    cost: float = 0.0
    over: bool = False
    started: bool = False
    error: str = ""
    is_input_error: bool = False


class SimulatorPool:
    """Simulators for B episodes in flight (slots), dealt out to processes; a context manager.

    A process that dies, raises or does not answer in time is started again, and with it, from their
    resets, the episodes that it held. With the same actions they go on as they were.
    """

    def __init__(
        self,
        task: Task,
        slots: int,
        *,
        processes: int | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        make: Callable[[Task], gymnasium.Env] = make_environment,
    ) -> None:
        """Start the processes; each makes its environments when their first episodes start.

        Args:
            task: whose environment it is.
            slots: B.
            processes: by default as many as there are usable cores, and for a simulator that fills
                its process, B.
            timeout_seconds: without an answer for so long, a process counts as hung.
            make: makes an environment; a function that the processes can import.
        """
        if processes is None:
            cores = len(os.sched_getaffinity(0))
            processes = slots if task.suite in ONE_A_PROCESS else min(cores, slots)
        self._task, self._timeout_seconds = task, timeout_seconds
        self._episodes: dict[int, Episode] = {}  # what each slot runs, or ran last
        self._failures: Counter[Episode] = Counter()
        self._workers: list[_Worker] = []
        try:
            for first in range(processes):
                self._workers.append(_Worker(task, make, range(first, slots, processes)))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "SimulatorPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
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
            What came of it.

        Raises:
            InputError: an episode failed `MOST_FAILURES` times, or its simulator cannot be made.
        """
        self._episodes.update(starting)
        running = {*starting, *np.flatnonzero(stepping).tolist()}
        replies: dict[int, Reply] = {}
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
                reply = worker.receive() if ready else self._no_answer()
                if reply.is_input_error:
                    raise InputError(reply.error)
                if not reply.error:
                    replies[worker.unanswered.pop(0)] = reply
                    continue
                # What ended before the failure is done; the process's other episodes start again.
                held = [
                    other
                    for other in worker.slots
                    if other in running and not (other in replies and replies[other].over)
                ]
                self._report(slot, reply.error, len(held) - 1)
                worker.start()
                worker.send({other: self._episodes[other].reset_seed for other in held})
                for other in held:
                    replies.pop(other, None)
        return _outcome(replies, stepping.size)

    def _no_answer(self) -> Reply:
        return Reply(error=f"no answer within {self._timeout_seconds:g} s")

    def _report(self, slot: int, cause: str, others: int) -> None:
        """Tell of a failure, which is an error if the episode has failed too often."""
        episode = self._episodes[slot]
        self._failures[episode] += 1
        failures = self._failures[episode]
        what = (
            f"{self._task.name}: the simulator failed in seed {episode.seed}, episode "
            f"{episode.episode} (reset seed {episode.reset_seed}): {cause}"
        )
        if failures >= MOST_FAILURES:
            raise InputError(
                f"{what}; it failed {failures} times. Another `evaluation_seed` gives other "
                "episodes"
            )
        tqdm.write(
            f"{what}; its process starts anew, and in it this episode and {others} more",
            file=sys.stderr,
        )


class _Worker:
    """A process, and the slots whose environments it holds.

    Attributes:
        slots: those slots.
        unanswered: the ones whose reply is to come, in order; the first is being worked on.
    """

    def __init__(self, task: Task, make: Callable[[Task], gymnasium.Env], slots: range) -> None:
        self.slots = slots
        self.unanswered: list[int] = []
        self._task, self._make = task, make
        self._process: subprocess.Popen | None = None
        self.start()

    def start(self) -> None:
        """Start the process; an older one ends."""
        self.end()
        self.pipe, theirs = connection.Pipe()
        # A group of its own: Ctrl-C is for the parent, whose end then ends the process. As with
        # multiprocessing, it finds modules where this process does.
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fisor.envs.pool", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,
            )
        self._send((self._task, self._make))

    def end(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self.pipe.close()
            self._process = None

    def send(self, orders: Mapping[int, int | np.ndarray]) -> None:
        """Have slots reset (to a seed) or step (with an action)."""
        self.unanswered = list(orders)
        if orders:
            self._send(orders)

    def _send(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # a process that has died is noticed by its silence
            self.pipe.send(message)

    def receive(self) -> Reply:
        """The next reply; if the process has died, how."""
        try:
            return Reply(*self.pipe.recv())
        except (EOFError, OSError):
            assert self._process is not None
            self._process.kill()
            status = self._process.wait()
            cause = signal.Signals(-status).name if status < 0 else f"exit status {status}"
            return Reply(error=f"its process ended ({cause})")


def _outcome(replies: Mapping[int, Reply], slots: int) -> Outcome:
    first = next(iter(replies.values())).observation
    assert first is not None
    outcome = Outcome(
        observations=np.zeros((slots, first.size), np.float32),
        rewards=np.zeros(slots),
        costs=np.zeros(slots),
        over=np.zeros(slots, bool),
        started=np.zeros(slots, bool),
        reached_goal=None,
    )
    for slot, reply in replies.items():
        outcome.observations[slot] = reply.observation
        outcome.rewards[slot], outcome.costs[slot] = reply.reward, reply.cost
        outcome.over[slot], outcome.started[slot] = reply.over, reply.started
    return outcome


def _work(pipe: connection.Connection) -> None:
    """A process's life: carry out orders until the parent goes or something fails."""
    task, make = pipe.recv()
    environments: dict[int, gymnasium.Env] = {}
    while True:
        for slot, order in pipe.recv().items():
            try:
                if slot not in environments:
                    environments[slot] = make(task)
                reply = _carry_out(environments[slot], order)
            except Exception as error:
                text = str(error) if isinstance(error, InputError) else repr(error)
                pipe.send(tuple(Reply(error=text, is_input_error=isinstance(error, InputError))))
                return
            pipe.send(tuple(reply))


def _carry_out(environment: gymnasium.Env, order: int | np.ndarray) -> Reply:
    if not isinstance(order, np.ndarray):
        return Reply(environment.reset(seed=order)[0], started=True)
    observation, reward, terminated, truncated, info = environment.step(order)
    return Reply(observation, float(reward), float(info["cost"]), terminated or truncated)


if __name__ == "__main__":
    # Left without a parent, the pipe is at its end; then there is nothing more to do.
    with contextlib.suppress(EOFError, OSError):
        _work(connection.Connection(int(sys.argv[1])))
