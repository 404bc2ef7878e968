"""Turn a dataset from DSRL's HDF5 layout into Parquet."""

import sys

from fisor import command, conversion
from fisor.params import load_params
from fisor.tasks import load_task


def main(task: str, raw: str, transitions: str) -> None:
    """Convert an HDF5 file to Parquet; what had to be changed is said on standard error."""
    drop_bad_rows = load_params().drop_bad_rows
    changes = conversion.convert(raw, transitions, load_task(task), drop_bad_rows=drop_bad_rows)
    for sentence in changes.sentences():
        print(f"{raw}: {sentence}", file=sys.stderr)


if __name__ == "__main__":
    command.run(main)
