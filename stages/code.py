"""Check params.yaml and tasks.yaml; record the code and the packages of each stage."""

import json
import re
from pathlib import Path

from fisor.code import closure, code_hash, distributions
from fisor.collect import parts
from fisor.config import files
from fisor.envs import suites
from fisor.errors import InputError
from fisor.methods import BASELINE_SCHEMAS, FISOR, METHODS
from fisor.outputs import atomic_file
from stages import command

STAGES = (
    "acquire",
    "convert",
    "label",
    "train_feasibility",
    "train_reward",
    "train_policy",
    "distil",
    "record",
    "report",
    "vega",
)


def main(lock: str, out: str) -> None:
    """Check params.yaml and tasks.yaml; write STAGE.json, and evaluate/FISOR.json."""
    params = files.check(BASELINE_SCHEMAS)
    parts.refuse_odd(params.acquire_parts)
    for name in params.run:
        suites.refuse_unknown(files.load_task(name).suite, f"tasks.yaml: `{name}.suite`")
    for stage in STAGES:
        write(Path(out) / f"{stage}.json", lock, f"stages.{stage}")
    write(Path(out) / "evaluate" / f"{FISOR}.json", lock, "stages.evaluate", METHODS[FISOR])


def write(path: Path, lock: str, *modules: str) -> None:
    """Write the code and the packages that some modules compute with."""
    with atomic_file(path) as file:
        text = json.dumps(described(modules, locked_versions(Path(lock))), indent=2) + "\n"
        file.write_text(text, encoding="utf-8")


def described(modules: tuple[str, ...], versions: dict[str, str]) -> dict[str, dict[str, str]]:
    """The hash of every module that these import, and the version of every package."""
    reached = closure(*modules)
    names = sorted(distributions(reached.packages) & versions.keys())
    return {
        "modules": {name: code_hash(path) for name, path in reached.modules.items()},
        "packages": {name: versions[name] for name in names},
    }


def locked_versions(lock: Path) -> dict[str, str]:
    """Package -> version of a lock file.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        text = lock.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{lock}: cannot be read ({error.strerror})") from error
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^\s;]+)", text, re.MULTILINE))


if __name__ == "__main__":
    command.run(main)
