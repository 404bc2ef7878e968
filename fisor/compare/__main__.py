"""Two experiments side by side: `python -m fisor.compare A B`, with names or Git revisions."""

import argparse
import sys
from pathlib import Path

from fisor.compare.comparison import write_comparison
from fisor.compare.revision import Revision
from fisor.errors import InputError


def main() -> None:
    """Write a page that sets two experiments side by side."""
    parser = argparse.ArgumentParser(prog="python -m fisor.compare", description=main.__doc__)
    names = "an experiment's name, a Git revision, or workspace"
    parser.add_argument("a", metavar="A", help=names)
    parser.add_argument("b", metavar="B", help=names)
    parser.add_argument("--out", type=Path, default=Path("reports/comparison"), help="folder")
    arguments = parser.parse_args()
    try:
        with Revision(".", arguments.a) as a, Revision(".", arguments.b) as b:
            write_comparison(arguments.out, a, b)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    print(arguments.out / "comparison.html")


if __name__ == "__main__":
    main()
