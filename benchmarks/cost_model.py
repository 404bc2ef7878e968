"""What the paper's Table 1 takes on k machines: measured rates, the pipeline's graph, the launcher.

Run from the project's root: `python -m benchmarks.cost_model RESULTS.json ...` (half a minute),
with files that `python -m benchmarks baselines acting_baselines acting` wrote. The first one is of
the machines; others complete it: those of the same hardware by their times, those of another one
by the number of operations, which are assumed to run as fast as those of the training `--like`. A
time without a number of operations is taken as it is. Where several files have a value, the first
one counts.

Measured: the time of an update, of acting, and of an item in which nothing is done. Assumed, beside
the above: all seeds' updates take `--seeds-cost` times one's, and all observations have the
largest size that was measured. Left out: downloads, conversion, labels, the simulators' own steps,
pictures, compilation.
"""

import argparse
import json
import math
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

import yaml

from benchmarks.__main__ import table
from benchmarks.acting import SAMPLED
from benchmarks.schedule import critical_path, enough_workers, makespan
from fisor.cluster.pipeline import Item, read_items
from fisor.config.evaluation import EvaluationStage
from fisor.config.feasibility import FeasibilityStage
from fisor.config.layers import load
from fisor.config.policy import PolicyStage
from fisor.config.reward import RewardStage
from fisor.envs.suites import suite_of
from fisor.errors import InputError
from fisor.evaluation.scores import episodes_in_flight
from fisor.methods import FISOR, method_module

METHODS = "BC", "CDT", "BCQ-Lag", "CPQ", "COptiDICE", "TREBI"  # of Table 1, beside FISOR
SEEDS = 3
SEEDS_COST = 3.0  # as measured on two cores, where seeds share nothing
LIKE = "train_feasibility"
WORKERS = 1, 8, 64, 256
WITHIN = 1.05  # of the critical path: more workers no longer help
CLIPS = 2  # per task and method, of an episode each
OVERHEAD_SECONDS = 3.0  # of an empty item with `ray`, see NOTES.md
ACTING_BATCH = 64  # FISOR's, of those that were measured
TRAININGS = {
    "train_feasibility": FeasibilityStage,
    "train_reward": RewardStage,
    "train_policy": PolicyStage,
}


class Rate(NamedTuple):
    """A time.

    Attributes:
        seconds: of an update of one seed, or of an action in one episode.
        observation_dim: entries of the observation.
        source: whether it was measured or is assumed, and where.
    """

    seconds: float
    observation_dim: int
    source: str


class Rates(NamedTuple):
    """Times on the hardware of the first file.

    Attributes:
        updates: one update of one seed, by training stage of FISOR or by baseline.
        acting: an action in one episode, by method.
    """

    updates: dict[str, Rate]
    acting: dict[str, Rate]


def read_rates(files: Sequence[Path], like: str) -> Rates:
    """The rates that Table 1 needs.

    Args:
        files: JSON of measured times; the first one's hardware is that of the result.
        like: the training whose operations per second are assumed for what was not measured there.

    Raises:
        InputError: a rate is in none of the files; the message has the command that measures it.
    """
    contents = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    here = contents[0]["hardware"]
    rates = Rates({}, {})
    second_per_gigaoperation = math.nan
    for found in contents:
        trained = [(row["training"], row, 1) for row in found.get("baselines", ())]
        acted = [(row["method"], row, row["episodes"]) for row in found.get("acting_baselines", ())]
        acted += [
            (FISOR, row, ACTING_BATCH)
            for row in found.get("acting", ())
            if row["batch"] == ACTING_BATCH and row.get("policy", SAMPLED) == SAMPLED
        ]
        for known, rows in ((rates.updates, trained), (rates.acting, acted)):
            largest = {}  # of each name, the row of the largest observation
            for name, row, pieces in sorted(rows, key=lambda each: each[1]["observation_dim"]):
                largest[name] = row, pieces
            if known is rates.updates and found["hardware"] == here and like in largest:
                row, _ = largest[like]
                second_per_gigaoperation = row["milliseconds"] / 1e3 / row["gigaoperations"]
            for name, (row, pieces) in largest.items():
                seconds, source = row["milliseconds"] / 1e3, f"measured on {found['hardware']}"
                if found["hardware"] != here and "gigaoperations" in row:
                    seconds = row["gigaoperations"] * second_per_gigaoperation
                    source = f"assumed: operations as fast as those of {like}"
                known.setdefault(name, Rate(seconds / pieces, row["observation_dim"], source))
    for part, known, names in (
        ("baselines", rates.updates, (*TRAININGS, *METHODS)),
        ("acting_baselines", rates.acting, METHODS),
        ("acting", rates.acting, (FISOR,)),
    ):
        if missing := [name for name in names if name not in known]:
            raise InputError(
                f"{', '.join(map(str, files))}: no time of {', '.join(missing)}; "
                f"`python -m benchmarks {part}` measures it"
            )
    if any(math.isnan(rate.seconds) for known in rates for rate in known.values()):
        raise InputError(f"{files[0]}: has no time of {like} for `--like`")
    return rates


def table_tasks(project: Path) -> list[str]:
    """Names of Table 1's tasks."""
    tasks = yaml.safe_load((project / "tasks.yaml").read_text(encoding="utf-8"))
    return [name for name, task in tasks.items() if task["paper"]]


def table_project(project: Path, folder: Path, tasks: Sequence[str]) -> dict[str, Item]:
    """Make a folder with the parameters of Table 1 at the paper's sizes.

    Args:
        project: whose dvc.yaml, params.yaml and tasks.yaml are read.
        folder: gets these three, and is one for DVC, without Git.
        tasks: their names.

    Returns:
        The stages by name, in the launcher's order; none has run.
    """
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    for file in ("dvc.yaml", "tasks.yaml"):
        (folder / file).write_bytes((project / file).read_bytes())
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params |= {
        "run": list(tasks),
        "policies": [FISOR],
        "baselines": list(METHODS),
        "seeds": SEEDS,
        "size": "paper",
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    with chdir(folder):  # DVC names stages as they are seen from here
        return read_items(folder, remote=False)


def stage_and_what(item: str) -> tuple[str, str, str]:
    """Stage, task and method of an item; empty if it has none."""
    stage, _, what = item.partition("@")
    task, _, method = what.partition("-")
    return stage, task, method


def item_seconds(item: str, rates: Rates, seeds_cost: float) -> float:
    """Seconds of an item by params.yaml and tasks.yaml in this folder.

    Args:
        item: its name.
        rates: measured.
        seeds_cost: what all seeds' updates take, in times of one's.
    """
    stage, task, method = stage_and_what(item)
    if stage in TRAININGS or stage == "train_baseline":
        schema = TRAININGS[stage] if stage in TRAININGS else method_module(method).Config
        rate = rates.updates[method if stage == "train_baseline" else stage]
        updates: int = load(schema, task, method).training_steps
        return OVERHEAD_SECONDS + updates * seeds_cost * rate.seconds
    if stage.startswith(("evaluate", "record")):
        of = load(EvaluationStage, task, method)
        in_flight = episodes_in_flight(of.episodes, suite_of(of))
        waves = math.ceil(of.episodes / in_flight) if stage.startswith("evaluate") else CLIPS
        # A call acts in as many rows as an evaluation has episodes in flight, wanted or not.
        rows = SEEDS * in_flight * waves * of.horizon_steps
        return OVERHEAD_SECONDS + rows * rates.acting[method].seconds
    return OVERHEAD_SECONDS


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Hours by kind of work and method; the critics and the policy are FISOR's."""
    hours: dict[str, float] = defaultdict(float)
    for item, each in seconds.items():
        stage, _, method = stage_and_what(item)
        if stage in TRAININGS:
            name = f"train {FISOR}"
        elif stage.startswith(("train_", "evaluate", "record")):
            name = f"{'train' if stage.startswith('train_') else 'act as'} {method}"
        else:
            name = "the others"
        hours[name] += each / 3600
    return dict(sorted(hours.items(), key=lambda pair: -pair[1]))


def show(items: Mapping[str, Item], seconds: Mapping[str, float], rates: Rates) -> None:
    """Print the rates, the shares, and what the launcher makes of the items."""
    for title, of in (("ms an update", rates.updates), ("ms an action", rates.acting)):
        table(
            f"what | {title} | observation | source",
            [
                [name, 1e3 * rate.seconds, rate.observation_dim, rate.source]
                for name, rate in of.items()
                if name in (*TRAININGS, *METHODS, FISOR)
            ],
        )
    work, longest = sum(seconds.values()) / 3600, critical_path(items, seconds)
    table("what | hours of one worker", [list(pair) for pair in shares(seconds).items()])
    print(f"\n{len(items)} items, {work:,.1f} hours of work. The critical path is", end=" ")
    print(f"{sum(seconds[name] for name in longest) / 3600:,.2f} hours: {' > '.join(longest)}")
    most = enough_workers(items, seconds, WITHIN)
    rows = []
    for workers in sorted({*WORKERS, most}):
        hours = makespan(items, seconds, workers) / 3600
        rows.append([workers, hours, hours / 24, work / hours, work / workers / hours])
    table("workers | hours | days | times as fast as one | share of time that they work", rows)
    print(f"{most} workers come within {WITHIN - 1:.0%} of the critical path")


def main() -> None:
    """Compute and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost_model", description=__doc__)
    parser.add_argument("results", type=Path, nargs="+", help="JSON of measured rates")
    parser.add_argument(
        "--seeds-cost", type=float, default=SEEDS_COST,
        help=f"assumed: what {SEEDS} seeds' updates take in times of one's (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--like", choices=TRAININGS, default=LIKE,
        help="assumed: the training with the speed of all operations that were not measured on "
        "this hardware (default: %(default)s)",
    )  # fmt: skip
    options = parser.parse_args()
    project = Path.cwd()
    try:
        rates = read_rates(options.results, options.like)
        with tempfile.TemporaryDirectory() as name:
            items = table_project(project, Path(name), table_tasks(project))
            with chdir(name):
                seconds = {item: item_seconds(item, rates, options.seeds_cost) for item in items}
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    show(items, seconds, rates)


if __name__ == "__main__":
    main()
