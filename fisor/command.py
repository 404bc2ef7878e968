"""How a stage is run from the command line."""

import argparse
import inspect
import sys
from collections.abc import Callable

from fisor.errors import InputError


def run(main: Callable[..., None]) -> None:
    """Call `main` with its parameters read from the command line, each a required `--name VALUE`.

    Bad input ends with a message on standard error and exit status 1, without a traceback.

    Args:
        main: a function whose parameters are all strings; its docstring is the help.
    """
    parser = argparse.ArgumentParser(description=inspect.getdoc(main))
    for name in inspect.signature(main).parameters:
        parser.add_argument(f"--{name}", required=True)
    try:
        main(**vars(parser.parse_args()))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
