"""Run the pipeline's stages side by side: `python -m fisor.cluster local --workers 4`."""

import argparse
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from fisor.cluster import checks
from fisor.cluster.launcher import State, launch, log_path
from fisor.cluster.local import LocalEngine
from fisor.cluster.pipeline import read_items, read_lock
from fisor.cluster.progress import Shown
from fisor.cluster.workplace import last_repro
from fisor.errors import InputError


def main() -> None:
    """Run the stages that are not up to date, each as soon as those that it needs are done.

    DVC decides what is up to date. At the end, one `dvc repro` finds everything done. A failed
    stage stops only those that depend on it.
    """
    parser = argparse.ArgumentParser(prog="python -m fisor.cluster", description=main.__doc__)
    engines = parser.add_subparsers(dest="engine", required=True)
    local = engines.add_parser("local", help="in this folder, with processes")
    local.add_argument(
        "--workers", type=_positive, default=len(os.sched_getaffinity(0)),
        help="stages at once, each with its share of the cores (default: one per core)",
    )  # fmt: skip
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
    with checks.only_launcher(folder) as held:
        items = read_items(folder, remote)
        stale = sum(item.stale for item in items.values())
        if not any(item.stale or item.absent for item in items.values()):
            print(f"everything is up to date ({len(items)} stages)", file=sys.stderr)
            return 0
        print(f"{stale} of {len(items)} stages are not up to date", file=sys.stderr)
        engine = LocalEngine(folder, arguments.workers, remote, held)
        keeps_uncached = True
        states = launch(
            items, engine, Shown(items), folder, partial(read_lock, folder), keeps_uncached
        )
        failed = [name for name, state in states.items() if state is State.FAILED]
        skipped = [name for name, state in states.items() if state is State.SKIPPED]
        for name in failed:
            print(f"FAILED: {name} (log: {log_path(folder, name)})", file=sys.stderr)
        if skipped:
            print(f"not run, since they depend on these: {', '.join(skipped)}", file=sys.stderr)
        return 1 if failed else last_repro(folder, remote)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
