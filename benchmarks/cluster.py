"""`python -m fisor.cluster` against `dvc repro`: tasks like PointRobot, three methods, small sizes.

Run from the project's root, committed: `python -m benchmarks.cluster`. Each way starts from nothing
in a clone of its own, without compiled programs, one after the other. The overhead per stage is
measured on a pipeline of empty commands.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measuring import circumstances

POLICIES, BASELINES = ["FISOR"], ["BC", "CPQ"]
EMPTY_STAGES = 8
DVC = (sys.executable, "-m", "dvc")
CLUSTER = (sys.executable, "-m", "fisor.cluster")


def commands(workers: int) -> dict[str, tuple[str, ...]]:
    """Name -> command of each way to run a pipeline; Ray's only where it is installed."""
    ways = {
        "dvc repro": (*DVC, "repro"),
        "local": (*CLUSTER, "local", "--workers", str(workers)),
    }
    if importlib.util.find_spec("ray") is not None:
        ways["ray"] = (*CLUSTER, "ray")
    return ways


def run(folder: Path, *command: str) -> float:
    """Run a command to its end; returns its seconds.

    Raises:
        RuntimeError: it failed; what it printed is in the message.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # For the pipeline of empty commands, which has no `fisor` of its own.
    environment = {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(Path.cwd()),
        "XDG_CACHE_HOME": str(folder.parent / "cache"),
    }
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}")
    return time.perf_counter() - started


def publish(project: Path) -> None:
    """Commit a project and push it to a repository beside it; give it a DVC remote there, too."""
    around = project.parent
    (around / "remote").mkdir()
    run(project, *DVC, "remote", "add", "--default", "shared", str(around / "remote"))
    run(project, "git", "config", "user.name", "Benchmark")
    run(project, "git", "config", "user.email", "benchmark@example.org")
    run(project, "git", "add", "--all")
    run(project, "git", "commit", "--quiet", "--message", "To be run")
    run(around, "git", "init", "--quiet", "--bare", "origin.git")
    run(project, "git", "remote", "set-url", "origin", str(around / "origin.git"))
    run(project, "git", "push", "--quiet", "origin", "HEAD:refs/heads/benchmark")


def small_project(project: Path, tasks: int, steps: int) -> None:
    """A clone of this project in small sizes; nothing of it has run.

    Args:
        project: the folder to make.
        tasks: how many copies of PointRobot, which differ in the seed of their data.
        steps: of each training.
    """
    run(project.parent, "git", "clone", "--quiet", str(Path.cwd()), str(project))
    table = yaml.safe_load((project / "tasks.yaml").read_text())
    for number in range(tasks):
        task = json.loads(json.dumps(table["PointRobot"]))
        task["acquire"] |= {"transitions": 20_000, "seed": number}
        for section in ("feasibility", "reward", "policy", "baselines"):
            task["overrides"][section]["training_steps"] = steps
        task["overrides"]["evaluation"]["episodes"] = 20
        table[f"PointRobot{number}"] = task
    (project / "tasks.yaml").write_text(yaml.safe_dump(table, sort_keys=False))
    params = yaml.safe_load((project / "params.yaml").read_text())
    params |= {
        "run": [f"PointRobot{number}" for number in range(tasks)],
        "policies": POLICIES,
        "baselines": BASELINES,
    }
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (project / "dvc.lock").unlink()
    publish(project)


def empty_project(project: Path) -> None:
    """A pipeline of stages that only make a file, none of which depends on another."""
    run(project.parent, "git", "init", "--quiet", str(project))
    run(project, *DVC, "init", "--quiet")
    run(project, "git", "remote", "add", "origin", "nowhere")
    stages = {f"stage{n}": {"cmd": f"echo > {n}", "outs": [f"{n}"]} for n in range(EMPTY_STAGES)}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    publish(project)


def results_of(project: Path) -> str:
    """A hash of the outputs that dvc.lock names; equal if all outputs have equal bytes."""
    stages = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    # Those that hold times or the hardware's name differ from run to run.
    outs = sorted(
        (out["path"], out["md5"])
        for stage in stages.values()
        for out in stage["outs"]
        if not out["path"].startswith(("data/logs", "reports"))
    )
    return hashlib.sha256(json.dumps(outs).encode()).hexdigest()


def measure(tasks: int, steps: int, workers: int, ways: Sequence[str]) -> list[dict[str, Any]]:
    """One row per way, the first of which is the reference of the others.

    Returns:
        The way; its seconds and their ratio to the reference's; seconds per empty stage; seconds
        where nothing has changed; whether the outputs have the reference's bytes (which
        they have on the same number of cores; workers divide them).
    """
    rows: list[dict[str, Any]] = []
    reference_seconds, reference_results = 0.0, ""
    for way in ways:
        command = commands(workers)[way]
        with tempfile.TemporaryDirectory() as name:
            project, empty = Path(name) / "small/project", Path(name) / "empty/project"
            for folder in (project, empty):
                folder.parent.mkdir()
            small_project(project, tasks, steps)
            empty_project(empty)
            seconds, results = run(project, *command), results_of(project)
            overhead = run(empty, *command) / EMPTY_STAGES
            unchanged = run(project, *command)
        if not rows:
            reference_seconds, reference_results = seconds, results
        rows.append(
            {
                "way": way,
                "seconds": seconds,
                "ratio": seconds / reference_seconds,
                "overhead_seconds_per_stage": overhead,
                "no_change_seconds": unchanged,
                "same_results": results == reference_results,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Measure, print a row per way, and write all to JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--tasks", type=int, default=6)
    parser.add_argument("--steps", type=int, default=5000, help="of each training")
    parser.add_argument("--workers", type=int, default=2, help="of `local`; Ray takes all cores")
    parser.add_argument("--results", type=Path, help="JSON to write")
    options = parser.parse_args()
    found = circumstances() | {"tasks": options.tasks, "steps": options.steps}
    ways = list(commands(options.workers))
    found["cluster"] = measure(options.tasks, options.steps, options.workers, ways)
    if options.results:
        options.results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
