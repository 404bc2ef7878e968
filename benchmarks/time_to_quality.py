"""Minutes of training until a policy is good: `size: quick`, `size: paper`, the reference loop.

Run from the project's root, for tasks whose data is there (`dvc repro label`):
`python -m benchmarks.time_to_quality BallRun PointRobot`. It writes JSON after each evaluation, and
a figure after each way.

**Good** is a policy with normalised reward at or above the lower end of the long run's 95 %
interval, and normalised cost of at most 0.005, which is 0.00 to two digits. From some of a task's
starts, no policy may be able to avoid a violation (PointRobot, whose truth is known): there, the
cost may be at most the upper end of the long run's interval. The long run is `quick` with
`--long-run` times its steps and several seeds; `--reward` and `--cost` set the two bounds instead.

**quick** is the pipeline with `size: quick` and the task's overrides: finished critics, then the
policy. Its learning rates decay over the whole run, so each of its points is a run of its own, of a
share of the steps (`--shares`); share 1 is the size as it is configured.

**paper** is one run of the same stages with `size: paper`, without the task's overrides. The
pipeline would train the critics for all of the steps before the policy begins, so that there would
be no policy for hours. So they take turns of `--round-steps`: both critics go on by as many, the
weights of the data are computed from them, and the policy goes on by as many with these weights.
Its curve is thus that of a policy that learns from critics in training, as the loop's is.

**loop** is one run of `benchmarks.reference_loop` with the same values, seed and data.

The clock shows minutes of training alone: the networks' first values, moving the data to the
device, compilation, weights of the data, updates. Reading the files and evaluations are left out.
All policies are evaluated from the same starts. One seed is measured, and a way ends with its first
good evaluation, which chance may have helped.
"""

import argparse
import json
import math
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.__main__ import table
from benchmarks.measuring import circumstances
from benchmarks.quality_figure import draw
from benchmarks.quality_runs import TaskRun
from fisor.config.files import load_params
from fisor.errors import InputError
from fisor.outputs import atomic_file

RESULTS = Path("reports/benchmarks/time_to_quality")


def show(results: dict[str, Any]) -> None:
    """Print when which way was good, and the ratios."""
    rows, ratios = [], []
    for task, found in results["tasks"].items():
        for way, entry in found["ways"].items():
            last = entry["points"][-1]
            good = next((point for point in entry["points"] if point["reached"]), last)
            never = f"not within {last['minutes']:.1f}"
            minutes = never if entry["minutes"] is None else f"{entry['minutes']:.2f}"
            rows.append([task, way, minutes, entry["not_yet_at"], good["reward"], good["cost"]])
        for fast, slow_ways in found["times_sooner"].items():
            for slow, times in slow_ways.items():
                ends = times or {}
                ratios.append([task, fast, slow, ends.get("at_least"), ends.get("at_most")])
    table("task | way | minutes until good | not yet at | reward then | cost then", rows)
    table("times sooner: task | this | than | at least | at most", ratios)


def number(kind: type, above: float, least: bool = False) -> Callable[[str], Any]:
    """A type for argparse: finite numbers above a bound, or with `least` at it, too."""

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < above or (value == above and not least):
            whole = "a whole number" if kind is int else "a number"
            bound = "of at least" if least else "above"
            raise argparse.ArgumentTypeError(f"must be {whole} {bound} {above}, not {text!r}")
        return value

    return read


def read_options(given: list[str] | None = None) -> argparse.Namespace:
    """The command line; bad values end the program with a sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.time_to_quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("tasks", nargs="+", metavar="TASK", help="names in tasks.yaml")
    add("--data", type=Path, default=Path("data"), help="folder with transitions/ and labels/")
    add("--seed", type=number(int, 0, least=True), default=0, help="that is measured")
    add("--episodes", type=number(int, 1, least=True), help="of an evaluation; else the task's")
    add("--limit-minutes", type=number(float, 0), default=60.0, help="of training, of paper, loop")
    add("--round-steps", type=number(int, 1, least=True), default=500, help="of paper, loop")
    add("--growth", type=number(float, 1), default=1.25, help="of the steps between evaluations")
    add("--shares", type=number(float, 0), nargs="+", default=[0.125, 0.25, 0.5, 1.0])
    add("--long-run", type=number(float, 0), default=10.0, help="times quick's steps")
    add("--long-run-seeds", type=number(int, 1, least=True), help="else those of params.yaml")
    add("--reward", type=float, nargs=2, metavar=("LOW", "HIGH"), help="in place of a long run")
    add("--cost", type=number(float, 0, least=True), help="highest normalised cost")
    add("--results", type=Path, default=RESULTS, help="folder of the JSON and the figure")
    options = parser.parse_args(given)
    if len(set(options.tasks)) < len(options.tasks):
        parser.error("a task is named twice")
    if options.reward and not -math.inf < options.reward[0] <= options.reward[1] < math.inf:
        parser.error("--reward needs two numbers, the lower one first")
    if options.reward and len(options.tasks) > 1:
        parser.error("--reward is one task's: name one task, or let a long run of each tell")
    return options


def main(given: list[str] | None = None) -> None:
    """Measure all tasks; print, write and draw what was found."""
    options = read_options(given)
    params = load_params()
    options.long_run_seeds = options.long_run_seeds or params.seeds
    command = shlex.join(["python", "-m", "benchmarks.time_to_quality", *(given or sys.argv[1:])])
    choices = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(options).items()
    }
    results = {"command": command, "choices": choices} | circumstances() | {"tasks": {}}
    path = options.results / f"{'-'.join(options.tasks)}.json"

    def write() -> None:
        results["load_average_at_the_end"] = circumstances()["load_average"]
        with atomic_file(path) as file:
            file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

    runs = {task: TaskRun(task, options, write) for task in options.tasks}
    for task, run in runs.items():
        results["tasks"][task] = run.found
        run.choose_quality()
        for way in (run.quick, run.paper, run.loop):
            way()
            draw(path.with_suffix(".png"), results)
        run.compare()
    show(results)
    print(f"\nwritten to {path} and {path.with_suffix('.png')}")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
