"""What counts as a good policy, when a training reached it, and a clock of training alone."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax.monitoring
import numpy as np

from benchmarks.ways import Progress, Way
from fisor.agents import Agent
from fisor.config.evaluation import EvaluationStage
from fisor.envs.suites import ANY, NOT_NEGATIVE
from fisor.evaluation.intervals import mean_with_interval
from fisor.evaluation.scores import evaluate

Point = dict[str, Any]  # of a curve: `minutes`, `reward`, `cost`, ...


compilations: list[float] = []  # seconds of each of XLA's in this process


def _note(event: str, duration_secs: float, **_: str | int) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
        compilations.append(duration_secs)


jax.monitoring.register_event_duration_secs_listener(_note)


class Stopwatch:
    """Time of what runs within `running`, and of nothing else.

    Attributes:
        compiling_minutes: XLA's compilations among it, without the tracing before them.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        """Stands at 0; `now` is a clock in seconds."""
        self._now, self._before, self._since = now, 0.0, 0.0
        self._runs, self.compiling_minutes = False, 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs for this block."""
        compiled = len(compilations)
        self._since, self._runs = self._now(), True
        try:
            yield
        finally:
            self._before, self._runs = self._before + self._now() - self._since, False
            self.compiling_minutes += sum(compilations[compiled:]) / 60

    def read(self) -> dict[str, float]:
        """What a point of a curve says of it."""
        return {"minutes": self.minutes, "compiling_minutes": self.compiling_minutes}

    @property
    def minutes(self) -> float:
        """What it shows now, whether it runs or not."""
        return (self._before + (self._now() - self._since if self._runs else 0.0)) / 60


class Quality(NamedTuple):
    """Which policies are good enough.

    Attributes:
        reward_at_least: normalised reward, the lower end of the long run's interval: a policy above
            its upper end is no worse.
        cost_at_most: normalised cost.
    """

    reward_at_least: float
    cost_at_most: float

    def reached(self, point: Mapping[str, Any]) -> bool:
        """Whether a policy with this mean `reward` and `cost` is good enough."""
        return bool(point["reward"] >= self.reward_at_least and point["cost"] <= self.cost_at_most)


def time_to(points: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """When the first good policy of a curve was there.

    Args:
        points: with `minutes`, which grow, and `reached`.

    Returns:
        `minutes` of the first point that reached the quality, or None; `not_yet_at`, the minutes of
        the last point before it, or None.
    """
    first = next((i for i, point in enumerate(points) if point["reached"]), len(points))
    return {
        "minutes": points[first]["minutes"] if first < len(points) else None,
        "not_yet_at": points[first - 1]["minutes"] if first else None,
    }


def times_sooner(
    fast: Mapping[str, float | None], slow: Mapping[str, float | None], slow_limit: float
) -> dict[str, float] | None:
    """How many times sooner a way is than another one, from `time_to` of both.

    The slow one became good between two evaluations, so there are two ends. If it never did, only
    `at_least` is known, from the minutes that it trained.

    Args:
        fast: of the way that is in the denominator.
        slow: of the other one.
        slow_limit: minutes that the slow one trained in all.

    Returns:
        `at_least` and, if known, `at_most`; None if the fast one is not good, either.
    """
    minutes = fast["minutes"]
    if minutes is None:
        return None
    if slow["minutes"] is None:
        return {"at_least": slow_limit / minutes}
    return {"at_least": (slow["not_yet_at"] or 0.0) / minutes, "at_most": slow["minutes"] / minutes}


def stops(round_steps: int, growth: float, last: int) -> Iterator[int]:
    """At which steps to evaluate: multiples of `round_steps`, each `growth` times the one before.

    They are rounded up; the last one is `last`.
    """
    stop = round_steps
    while stop < last:
        yield stop
        stop = round_steps * math.ceil(round(stop * growth / round_steps, 9))
    yield last


def curve(
    way: Way,
    watch: Stopwatch,
    at: Iterable[int],
    round_steps: int,
    limit_minutes: float,
    score: Callable[[Agent], Mapping[str, Any]],
    progress: Progress,
) -> Iterator[Point]:
    """Train, and evaluate from time to time; the clock stands still for that.

    Args:
        way: what is trained.
        watch: shows the minutes of training so far, those of its start included.
        at: the steps to evaluate at.
        round_steps: after which the clock is looked at.
        limit_minutes: training ends with the round that reaches it.
        score: of a policy.
        progress: is told of each chunk of training.

    Yields:
        The points, as they are evaluated.
    """
    for stop in at:
        with watch.running():
            while way.steps < stop and watch.minutes < limit_minutes:
                way.advance(min(round_steps, stop - way.steps), progress)
        yield {"steps": way.steps, **watch.read(), **score(way.agent())}
        if watch.minutes >= limit_minutes:
            return


def score(agent: Agent, task: EvaluationStage) -> dict[str, Any]:
    """A policy's mean scores in the simulator, and those of each seed with their intervals.

    Args:
        agent: what acts.
        task: where, and how many episodes.
    """
    table = evaluate(agent, task)

    def of(column: str) -> np.ndarray:
        return table[column].to_numpy().reshape(agent.seeds, task.episodes)

    found: dict[str, Any] = {}
    for name, bounds in (("reward", ANY), ("cost", NOT_NEGATIVE)):
        values = of(f"normalised_{name}")
        mean, *ends = mean_with_interval(values, bounds)
        # Where all episodes are equal, there is no spread to make an interval of.
        interval = [mean if math.isnan(end) else end for end in ends]
        of_seeds = values.mean(axis=1).tolist()
        found |= {name: mean, f"{name}_interval": interval, f"{name}_of_seeds": of_seeds}
    found["episodes_with_a_violation"] = float((of("violating_steps") > 0).mean())
    return found
