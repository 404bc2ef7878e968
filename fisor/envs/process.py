"""A process that holds simulators and executes orders.

It runs `serve` of this module. A process started by multiprocessing would import the main module of
the program, and with it JAX, which no simulator needs.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from multiprocessing import connection
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from fisor.config.task import Environment
from fisor.envs.simulators import Transition
from fisor.errors import InputError

Job = Callable[[gymnasium.Env], Any]  # runs in an environment; it and its result are pickled
Order = int | np.ndarray | Job  # reset to a seed, step with an action, or run a job


class Failure(NamedTuple):
    """The answer of a process that has no result."""

    cause: str
    is_input_error: bool = False


class SimulatorProcess:
    """A process, and the slots whose environments it holds.

    Attributes:
        slots: the slots.
        unanswered: slots whose answer is outstanding, in order; the first is being worked on.
    """

    def __init__(
        self, task: Environment, make: Callable[[Any], gymnasium.Env], slots: range
    ) -> None:
        """Start the process, which makes the environments of `slots` when they are first used."""
        self.slots = slots
        self.unanswered: list[int] = []
        self._task, self._make = task, make
        self._process: subprocess.Popen | None = None
        self.start()

    def start(self) -> None:
        """Start the process; an existing one is stopped."""
        self.end()
        self.pipe, theirs = connection.Pipe()
        # In a process group of its own, so that Ctrl-C only reaches the parent, whose end then ends
        # this process. As with multiprocessing, it has the same module search path.
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    f"from fisor.envs import process; process.serve({theirs.fileno()})",
                ],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,
            )
        self._send((self._task, self._make))

    def end(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self.pipe.close()
            self._process = None

    def send(self, orders: Mapping[int, Order]) -> None:
        """Order slots to reset, step or run a job."""
        self.unanswered = list(orders)
        if orders:
            self._send(orders)

    def _send(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # a process that has died is noticed in `receive`
            self.pipe.send(message)

    def receive(self) -> Any:
        """The next answer; if the process has died, a failure with the cause."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            assert self._process is not None
            self._process.kill()
            status = self._process.wait()
            cause = signal.Signals(-status).name if status < 0 else f"exit status {status}"
            return Failure(f"its process ended ({cause})")


def serve(descriptor: int) -> None:
    """The main loop of the process: execute orders until the parent ends or something fails.

    Args:
        descriptor: file descriptor of this process's end of the pipe.
    """
    # When the parent has ended, the pipe is closed, and nothing remains to be done.
    with contextlib.suppress(EOFError, OSError):
        _serve(connection.Connection(descriptor))


def _serve(pipe: connection.Connection) -> None:
    task, make = pipe.recv()
    environments: dict[int, gymnasium.Env] = {}
    while True:
        for slot, order in pipe.recv().items():
            try:
                if slot not in environments:
                    environments[slot] = make(task)
                answer = _carry_out(environments[slot], order)
            except Exception as error:
                text = str(error) if isinstance(error, InputError) else repr(error)
                pipe.send(Failure(text, isinstance(error, InputError)))
                return
            pipe.send(answer)


def _carry_out(environment: gymnasium.Env, order: Order) -> Any:
    if callable(order):
        return order(environment)
    if not isinstance(order, np.ndarray):
        return Transition(environment.reset(seed=order)[0], 0.0, 0.0, False)
    observation, reward, terminated, truncated, info = environment.step(order)
    return Transition(observation, float(reward), float(info["cost"]), terminated, truncated)
