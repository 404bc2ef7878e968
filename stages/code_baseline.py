"""Record the code and the packages of a baseline's training and evaluation."""

from pathlib import Path

from fisor.methods import METHODS
from stages import command
from stages.code import write


def main(method: str, lock: str, out: str) -> None:
    """Write train_baseline/METHOD.json and evaluate/METHOD.json."""
    for stage in ("train_baseline", "evaluate"):
        write(Path(out) / stage / f"{method}.json", lock, f"stages.{stage}", METHODS[method])


if __name__ == "__main__":
    command.run(main)
