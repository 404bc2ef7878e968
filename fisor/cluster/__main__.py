"""Run the pipeline's stages side by side: `python -m fisor.cluster local --workers 4`."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fisor.cluster import checks
from fisor.cluster.engine import Engine
from fisor.cluster.launcher import State, launch, log_path
from fisor.cluster.local import LocalEngine
from fisor.cluster.pipeline import Item, read_items, read_lock
from fisor.cluster.progress import Shown
from fisor.cluster.workplace import Source, last_repro, push
from fisor.errors import InputError

PACKAGES = {"ray": "ray", "slurm": "submitit"}  # engine -> the package that its extra installs


def main() -> None:
    """Run the stages that are not up to date, each as soon as those that it needs are done.

    DVC decides what is up to date. At the end, one `dvc repro` finds everything done. A failed
    stage stops only those that depend on it.
    """
    parser = argparse.ArgumentParser(prog="python -m fisor.cluster", description=main.__doc__)
    engines = parser.add_subparsers(dest="engine", required=True)
    local = engines.add_parser("local", help="in this folder, with processes")
    local.add_argument(
        "--workers", type=_at_least(1), default=len(os.sched_getaffinity(0)),
        help="stages at once, each with its share of the cores (default: one per core)",
    )  # fmt: skip
    ray = engines.add_parser("ray", help="in clones, by a Ray cluster; needs fisor[ray]")
    ray.add_argument(
        "--address", help="of a running cluster, `auto` for this machine's; without it, Ray is "
        "started here",
    )  # fmt: skip
    slurm = engines.add_parser("slurm", help="in clones, by Slurm's jobs; needs fisor[slurm]")
    slurm.add_argument("--partition", help="Slurm's (default: Slurm's default)")
    slurm.add_argument(
        "--minutes", type=_at_least(3), default=240,
        help="for a job; 90 s before its end, it is queued again and goes on (default: 240)",
    )  # fmt: skip
    slurm.add_argument(
        "--jobs", type=_at_least(1), default=100, help="queued or running at once (default: 100)"
    )
    for engine in (ray, slurm):
        engine.add_argument(
            "--cpus", type=_at_least(1), default=1, help="cores per stage (default: 1)"
        )
    ray.add_argument(
        "--gpus", type=_not_negative, default=0.0,
        help="GPUs per stage (default: 0); 0.5 lets two stages share one",
    )  # fmt: skip
    slurm.add_argument("--gpus", type=_at_least(0), default=0, help="GPUs per stage (default: 0)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    folder = Path.cwd()
    try:
        sys.exit(_run(folder, arguments))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


def _run(folder: Path, arguments: argparse.Namespace) -> int:
    """Returns the exit status."""
    checks.require_project(folder)
    remote = checks.default_remote(folder) is not None
    in_clones = arguments.engine != "local"
    if in_clones:
        checks.require_extra(arguments.engine, PACKAGES[arguments.engine])
        checks.require_shared_remote(folder)
    with checks.only_launcher(folder) as held:
        items = read_items(folder, remote)
        source = checks.pushed_source(folder, items) if in_clones else None
        if not any(item.stale or item.absent for item in items.values()):
            print(f"everything is up to date ({len(items)} stages)", file=sys.stderr)
            return 0
        stale = sum(item.stale for item in items.values())
        print(f"{stale} of {len(items)} stages are not up to date", file=sys.stderr)
        if not stale:  # outputs are to be fetched
            return last_repro(folder, remote)
        if source is None:
            engine: Engine = LocalEngine(folder, items, arguments.workers, remote, held)
        else:
            push(folder)  # what is here already, so that workers can have it
            engine = _engine_of_clones(folder, items, source, arguments)
        states = launch(
            items, engine, Shown(items), folder, partial(read_lock, folder), not in_clones
        )
        failed = [name for name, state in states.items() if state is State.FAILED]
        skipped = [name for name, state in states.items() if state is State.SKIPPED]
        for name in failed:
            print(f"FAILED: {name} (log: {log_path(folder, name)})", file=sys.stderr)
        if skipped:
            print(f"not run, since they depend on these: {', '.join(skipped)}", file=sys.stderr)
        return 1 if failed else last_repro(folder, remote)


def _engine_of_clones(
    folder: Path, items: Mapping[str, Item], source: Source, arguments: argparse.Namespace
) -> Engine:
    """Import an engine only if it is asked for: its package is an extra."""
    if arguments.engine == "ray":
        from fisor.cluster.on_ray import RayEngine

        return RayEngine(folder, items, source, arguments.address, arguments.cpus, arguments.gpus)
    from fisor.cluster.on_slurm import SlurmEngine

    return SlurmEngine(
        folder, items, source, arguments.cpus, arguments.gpus,
        arguments.jobs, arguments.minutes, arguments.partition,
    )  # fmt: skip


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, not {text}")
        return int(text)

    return number


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be at least 0, not {text}")
    return value


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
