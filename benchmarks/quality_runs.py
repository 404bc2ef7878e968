"""One task's measurement of `benchmarks.time_to_quality`: what is good, and the three ways."""

import argparse
import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from tqdm import tqdm

from benchmarks.quality import (
    Point,
    Quality,
    Stopwatch,
    curve,
    score,
    stops,
    time_to,
    times_sooner,
)
from benchmarks.ways import Loop, Problem, Sizes, Stages, Way, params_of, problem_of, sizes_of
from fisor.config.files import load_task
from fisor.envs.suites import suite_of
from fisor.errors import InputError

QUICK, PAPER, LOOP = "quick", "paper", "loop"
COST = 0.005  # 0.00 to two digits


def describe(point: Point) -> str:
    """A point in words."""
    scores = f"reward {point['reward']:.3f}, cost {point['cost']:.3f}"
    return f"{point['minutes']:.2f} minutes, {scores}" + (", good" * point.get("reached", False))


def trained(problem: Problem, sizes: Sizes, seeds: list[int], name: str) -> Point:
    """Train the stages one after another as the pipeline does, and evaluate."""
    watch = Stopwatch()
    with tqdm(total=sum(sizes.steps), desc=name, unit="update", disable=None) as bar:
        with watch.running():
            stages = Stages(problem, sizes, seeds)
            stages.take_turn(sizes.steps, bar.update)
        found = score(stages.agent(), problem.evaluation)
    return {"steps": list(sizes.steps), **watch.read(), **found}


class TaskRun:
    """One task's measurement; what is known of it is in `found`, from its start on."""

    def __init__(self, task: str, options: argparse.Namespace, write: Callable[[], None]) -> None:
        """Read the data.

        Args:
            task: a name in tasks.yaml.
            options: the command's.
            write: is called whenever `found` has changed.

        Raises:
            InputError: there is no such task, a file is missing or bad, or nothing tells the cost.
        """
        self._task, self._options, self._write = task, options, write
        self._problem = problem_of(task, options.data, options.episodes)
        self._some_starts_are_infeasible = suite_of(load_task(task)).truth is not None
        if self._some_starts_are_infeasible and options.reward and options.cost is None:
            raise InputError(
                f"{task}: no policy has cost 0.00, as some starts are truly infeasible, and with "
                "--reward there is no long run to compare with: give --cost, too"
            )
        self._quality = Quality(math.nan, math.nan)
        self.found: dict[str, Any] = {
            "rows": int(self._problem.episode.size),
            "episodes": self._problem.evaluation.episodes,
            "quality": {},
            "ways": {},
        }

    def choose_quality(self) -> None:
        """From the options, or from a long run."""
        options, task, quality = self._options, self._task, self.found["quality"]
        if options.reward is None:
            seeds = list(range(options.long_run_seeds))
            sizes = sizes_of(task, QUICK, overrides=True, seeds=len(seeds))
            long_run = trained(
                self._problem, sizes.times(options.long_run), seeds, f"{task} long run"
            )
            tqdm.write(f"{task} long run: {describe(long_run)}")
            quality["long_run"] = {"seeds": seeds, **long_run}
        reward = options.reward or quality["long_run"]["reward_interval"]
        if options.cost is not None:
            cost, source = options.cost, "as asked for"
        elif self._some_starts_are_infeasible:
            cost = max(COST, quality["long_run"]["cost_interval"][1])
            source = "upper end of the long run's interval: some starts are truly infeasible"
        else:
            cost, source = COST, "0.00 to two digits"
        self._quality = Quality(reward[0], cost)
        quality |= {"reward_interval": reward, "cost_from": source, **self._quality._asdict()}
        tqdm.write(f"{task}: good is reward at least {reward[0]:.3f}, cost at most {cost:.3f}")
        self._write()

    def _add(self, way: str, point: Point) -> None:
        point["reached"] = self._quality.reached(point)
        entry = self.found["ways"][way]
        entry["points"].append(point)
        entry |= time_to(entry["points"])
        tqdm.write(f"{self._task} {way}, steps {point['steps']}: {describe(point)}")
        self._write()

    def quick(self) -> None:
        """Some runs of the stages, of different lengths."""
        sizes = sizes_of(self._task, QUICK, overrides=True)
        kind = "each point is a run of its own, of that share of the steps"
        self._begin(QUICK, kind, sizes)
        for share in sorted(self._options.shares):
            name = f"{self._task} {QUICK}, share {share:g}"
            run = trained(self._problem, sizes.times(share), [self._options.seed], name)
            self._add(QUICK, {"share": share, **run})

    def paper(self) -> None:
        """One run of the stages in turns."""
        sizes = sizes_of(self._task, PAPER, overrides=False)
        self._begin(PAPER, "one run; critics and policy take turns", sizes)
        self._follow(PAPER, sizes, lambda: Stages(self._problem, sizes, [self._options.seed]))

    def loop(self) -> None:
        """One run of the reference loop."""
        sizes = sizes_of(self._task, PAPER, overrides=False)
        self._begin(LOOP, "one run; a step has two updates of the policy", sizes)
        self._follow(LOOP, sizes, lambda: Loop(self._problem, params_of(sizes), self._options.seed))

    def _begin(self, way: str, kind: str, sizes: Sizes) -> None:
        values = {name: dataclasses.asdict(each) for name, each in sizes._asdict().items()}
        self.found["ways"][way] = {"what": kind, "sizes": values, "points": []}

    def _follow(self, way: str, sizes: Sizes, make: Callable[[], Way]) -> None:
        options, watch = self._options, Stopwatch()
        limit, last = options.limit_minutes, sizes.policy.training_steps
        with tqdm(
            total=limit, desc=f"{self._task} {way}", disable=None,
            bar_format="{desc}: {n:.1f} of at most {total:g} minutes of training|{bar}|{postfix}",
        ) as bar:  # fmt: skip

            def progress(updates: int) -> None:
                del updates
                bar.update(min(watch.minutes, limit) - bar.n)

            with watch.running():
                trained = make()
            at = stops(options.round_steps, options.growth, last)
            evaluated = partial(score, task=self._problem.evaluation)
            for point in curve(trained, watch, at, options.round_steps, limit, evaluated, progress):
                self._add(way, point)
                if point["reached"]:
                    break

    def compare(self) -> None:
        """How many times sooner `quick` is, by its shortest good run and as configured."""
        ways = self.found["ways"]
        whole = [point for point in ways[QUICK]["points"] if point["share"] == 1]
        fast = {"quick": time_to(ways[QUICK]["points"]), "quick_of_share_1": time_to(whole)}
        self.found["times_sooner"] = {
            name: {
                slow: times_sooner(time, ways[slow], ways[slow]["points"][-1]["minutes"])
                for slow in (PAPER, LOOP)
            }
            for name, time in fast.items()
        }
        self._write()
