"""Turn a dataset from DSRL's HDF5 layout into Parquet."""

from fisor import command, datasets
from fisor.tasks import load_task


def main(task: str, raw: str, transitions: str) -> None:
    """Convert an HDF5 file to Parquet."""
    datasets.convert(raw, transitions, load_task(task))


if __name__ == "__main__":
    command.run(main)
