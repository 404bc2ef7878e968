"""The command line of stages, their parameters, and the folders of unfinished work."""

import argparse
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fisor.config import layers
from fisor.config.section import Section
from fisor.errors import InputError

Schema = TypeVar("Schema", bound=Section)

# Outside of the stages' outputs, which DVC removes before a run.
COLLECTING = Path("data/collecting")  # interrupted collections, to be resumed
TRAINING = Path("data/training")  # interrupted trainings


def keep_compiled_programs(folder: str | Path = ".cache/jax") -> None:
    """Cache JAX's compiled programs on disk, in this process and those that it starts.

    Args:
        folder: folder of the cache, unless the environment sets JAX_COMPILATION_CACHE_DIR; it may
            be deleted at any time.
    """
    settings: dict[str, str | float] = {
        "jax_compilation_cache_dir": str(Path(folder).absolute()),
        "jax_persistent_cache_min_compile_time_secs": 0.0,  # many small ones add up
    }
    for name, value in settings.items():
        # JAX reads these variables on import; if it is imported already, it is configured here.
        given = os.environ.setdefault(name.upper(), str(value))
        if "jax" in sys.modules:
            sys.modules["jax"].config.update(
                name, float(given) if isinstance(value, float) else given
            )


def run(main: Callable[..., None]) -> None:
    """Call `main` with its parameters read from the command line, each a required `--name VALUE`.

    Bad input ends with a message on standard error and exit status 1, without a traceback.

    Args:
        main: a function whose parameters are all strings; its docstring is the help.
    """
    parser = argparse.ArgumentParser(description=inspect.getdoc(main))
    for name in inspect.signature(main).parameters:
        parser.add_argument(f"--{name}", required=True)
    keep_compiled_programs()
    try:
        main(**vars(parser.parse_args()))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def settings(schema: type[Schema], task: str, method: str = "") -> Schema:
    """A stage's section of params.yaml and tasks.yaml; what the task overrides is logged.

    Args:
        schema: the section's class.
        task: a name in tasks.yaml.
        method: a name in `methods` of params.yaml, where the section has parameters of methods.

    Raises:
        InputError: there is no such task or method, or a key is unknown or missing.
    """
    if said := layers.overrides_in_words(schema, task):
        print(said, file=sys.stderr)
    return layers.load(schema, task, method)


def advice_on_size() -> str:
    """How to train in minutes where that takes hours; empty unless `size` is the paper's.

    `size` only words a message, so it is no parameter of the stages: what it sets is.
    """
    is_papers = layers.read_params()["size"] == "paper"
    return "`dvc exp run -S size=quick` trains in minutes" if is_papers else ""
