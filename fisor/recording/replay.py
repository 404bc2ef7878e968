"""An evaluated episode again: the same policy, keys, rows and start, with pictures."""

from collections.abc import Callable, Sequence
from multiprocessing import connection
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from fisor.agents import Step
from fisor.config.task import Environment
from fisor.envs.pool import TIMEOUT_SECONDS
from fisor.envs.process import Failure, Order, SimulatorProcess
from fisor.envs.rendering.renderers import make_rendered, picture_of
from fisor.envs.simulators import Transition
from fisor.envs.suites import Episode
from fisor.recording.clips import steps_per_picture


class NotRendered(Exception):
    """There is no picture; the message says what is missing or what failed."""


class RenderedSimulator:
    """One environment with pictures, in a process like those of evaluation; a context manager.

    So nothing that a renderer loads, prints or breaks affects the stage.
    """

    def __init__(self, task: Environment) -> None:
        """Start the process, which makes the environment when it is first used."""
        self._process = SimulatorProcess(task, make_rendered, range(1))

    def __enter__(self) -> "RenderedSimulator":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.end()

    def start(self, reset_seed: int) -> Transition:
        """Start the episode of a reset seed."""
        return self._answer(reset_seed)

    def step(self, action: np.ndarray) -> Transition:
        """One step with `action` `[action_dim]`."""
        return self._answer(action)

    def picture(self) -> np.ndarray:
        """A picture of the current state, `[height, width, 3]`, uint8."""
        return self._answer(picture_of)

    def _answer(self, order: Order) -> Any:
        """What the process answers.

        Raises:
            NotRendered: it failed, or does not answer.
        """
        self._process.send({0: order})
        if not connection.wait([self._process.pipe], TIMEOUT_SECONDS):
            raise NotRendered(f"the simulator does not answer within {TIMEOUT_SECONDS:g} s")
        answer = self._process.receive()
        if isinstance(answer, Failure):
            cause = answer.cause
            raise NotRendered(cause if answer.is_input_error else f"the renderer failed: {cause}")
        return answer


class Replay(NamedTuple):
    """What happened in T steps.

    Attributes:
        rewards: `[T]`.
        costs: `[T]` cost of the state after each step.
        pictures: of the start, after steps at equal distances, and of the end.
        shown: the number of steps done in each picture.
    """

    rewards: np.ndarray
    costs: np.ndarray
    pictures: Sequence[np.ndarray]
    shown: Sequence[int]

    @property
    def violating_steps(self) -> list[int]:
        """The steps, from 1, after which the cost is positive."""
        return (np.flatnonzero(self.costs > 0) + 1).tolist()


def replay(
    act: Callable[[Step, np.ndarray], np.ndarray],
    simulator: RenderedSimulator,
    episode: Episode,
    row: int,
    rows: int,
    length: int,
) -> Replay:
    """Run an episode alone, in the row in which evaluation ran it; the others are idle.

    On a CPU the last bits of a product depend on its shape, so there are as many rows as there.

    Args:
        act: from `fisor.evaluation.actor.actor`.
        simulator: runs the episode.
        episode: which one.
        row: of `rows`, the episode's.
        rows: seeds x in_flight.
        length: steps at which it ends at the latest.

    Raises:
        NotRendered: the simulator or its renderer failed.
    """
    seen = simulator.start(episode.reset_seed)
    observations = np.zeros((rows, seen.observation.size), np.float32)
    last_rewards, last_costs = np.zeros((2, rows), np.float32)
    times, episodes = np.zeros(rows, np.int32), np.zeros(rows, np.int64)
    episodes[row] = episode.episode
    rewards: list[float] = []
    costs: list[float] = []
    pictures, shown, every = [simulator.picture()], [0], steps_per_picture(length)
    while not (seen.terminated or seen.truncated) and len(rewards) < length:
        observations[row], times[row] = seen.observation, len(rewards)
        last_rewards[row], last_costs[row] = seen.reward, seen.cost
        step = Step(observations, last_rewards, last_costs, times)
        seen = simulator.step(act(step, episodes)[row])
        rewards.append(seen.reward)
        costs.append(seen.cost)
        over = seen.terminated or seen.truncated or len(rewards) == length
        if over or len(rewards) % every == 0:
            pictures.append(simulator.picture())
            shown.append(len(rewards))
    return Replay(np.array(rewards), np.array(costs), pictures, shown)
