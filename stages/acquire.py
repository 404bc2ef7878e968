"""Make a task's dataset, in DSRL's HDF5 layout."""

from fisor import command, datasets
from fisor.collect import point_robot
from fisor.tasks import load_task


def main(task: str, raw: str) -> None:
    """Collect the dataset of a task into an HDF5 file."""
    entry = load_task(task)
    settings = datasets.collection_settings(entry)
    episodes = point_robot.collect(settings.transitions, settings.seed)
    datasets.write_hdf5(raw, episodes._asdict())


if __name__ == "__main__":
    command.run(main)
