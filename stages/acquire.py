"""Make a task's dataset, in DSRL's HDF5 layout: fetched, or collected in a simulator."""

import shutil
from pathlib import Path

from fisor import command, datasets, download
from fisor.params import load_params
from fisor.tasks import load_task

UNFINISHED = Path("data/collecting")  # collections that go on when started again


def main(task: str, raw: str) -> None:
    """Fetch or collect the dataset of a task into an HDF5 file."""
    entry = load_task(task)
    # What loads JAX is imported late: a download does without it, and so do the simulators'
    # processes, which import this module.
    if entry.acquire.get("source") == "dsrl":
        download.obtain(
            download.dataset_file(entry),
            raw,
            hosts=load_params().dataset_hosts,
            downloads="data/downloads",
            checksums_path="data/sha256sums.txt",
        )
    elif entry.suite == "point_robot":
        settings = datasets.collection_settings(entry)
        from fisor.collect import point_robot

        episodes = point_robot.collect(settings.transitions, settings.seed)
        datasets.write_hdf5(raw, episodes._asdict())
    else:
        from fisor.collect import simulators
        from fisor.collect.settings import simulator_settings

        folder = UNFINISHED / task
        fields = simulators.collect(entry, simulator_settings(entry), folder)
        datasets.write_hdf5(raw, fields)
        shutil.rmtree(folder)


if __name__ == "__main__":
    command.run(main)
