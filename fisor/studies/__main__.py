"""Run a study: `python -m fisor.studies studies/figure4.yaml`."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from fisor.config.yaml_files import parse_yaml, shown_value
from fisor.errors import InputError
from fisor.studies import page, running
from fisor.studies.study import load_study


def main() -> None:
    """Run a study's experiments, then write its table and figure.

    Experiments that ran before with the same code and parameters are not run again.
    """
    parser = argparse.ArgumentParser(prog="python -m fisor.studies", description=main.__doc__)
    parser.add_argument("study", nargs="+", type=Path, help="files such as studies/figure4.yaml")
    parser.add_argument(
        "--task", action="append", default=[], help="instead of the study's own tasks; repeatable"
    )
    parser.add_argument(
        "-S", "--set-param", action="append", default=[], metavar="KEY=VALUE", dest="changes",
        help="for every experiment, as dvc exp run has it; repeatable",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("reports/studies"), help="folder of pages")
    arguments = parser.parse_args()
    try:
        changes = dict(_change(text) for text in arguments.changes)
        all_done = True
        for path in arguments.study:
            all_done &= _run(path, tuple(arguments.task), changes, arguments.out)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    sys.exit(0 if all_done else 1)


def _run(path: Path, tasks: tuple[str, ...], changes: dict[str, Any], out: Path) -> bool:
    """Run one study and write its page; returns whether every experiment succeeded."""
    study = load_study(path)
    experiments = study.experiments(tasks, changes)
    page.refuse_tasks_without_truth(study, experiments, Path("tasks.yaml"))
    done, failed = running.run(Path(), experiments)
    words = ["python", "-m", "fisor.studies", str(path)]
    words += [word for task in tasks for word in ("--task", task)]
    words += [w for k, v in changes.items() for w in ("-S", f"{k}={shown_value(v)}")]
    folder = out / "-".join([study.name, *tasks])
    page.write_page(folder, Path(), study, experiments, done, failed, shlex.join(words))
    print(f"{folder / 'README.md'}: {len(done)} of {len(experiments)} experiments")
    return not failed


def _change(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"-S {text}: must be KEY=VALUE")
    try:
        return key, parse_yaml(value)
    except yaml.YAMLError as error:
        raise InputError(f"-S {text}: the value is not YAML ({error})") from error


if __name__ == "__main__":
    main()
