"""Make a task's dataset, in DSRL's HDF5 layout: fetched, or collected in a simulator."""

from fisor import command, datasets, download
from fisor.params import load_params
from fisor.tasks import load_task


def main(task: str, raw: str) -> None:
    """Fetch or collect the dataset of a task into an HDF5 file."""
    entry = load_task(task)
    if entry.acquire.get("source") == "dsrl":
        download.obtain(
            download.dataset_file(entry),
            raw,
            hosts=load_params().dataset_hosts,
            downloads="data/downloads",
            checksums_path="data/sha256sums.txt",
        )
    else:
        settings = datasets.collection_settings(entry)
        from fisor.collect import point_robot  # it loads JAX, which a download can do without

        episodes = point_robot.collect(settings.transitions, settings.seed)
        datasets.write_hdf5(raw, episodes._asdict())


if __name__ == "__main__":
    command.run(main)
