"""Download a task's dataset in DSRL's HDF5 layout, or collect one in a simulator."""

import shutil

from fisor.collect import parts
from fisor.config.data import AcquireStage
from fisor.config.yaml_files import read_yaml
from fisor.data import download, hdf5
from stages import command


def main(task: str, part: str, raw: str) -> None:
    """Download or collect the dataset of a task, or a part of it, as an HDF5 file."""
    settings = command.settings(AcquireStage, task)
    if settings.acquire.source == "dsrl":
        assert settings.acquire.file is not None
        if not parts.holds_undivided(part):
            hdf5.write_hdf5(raw, {})
            return
        download.obtain(
            settings.acquire.file,
            raw,
            hosts=read_yaml("params.yaml")["dataset_hosts"],
            downloads="data/downloads",
            checksums_path="data/sha256sums.txt",
        )
        return
    from fisor.collect import collect  # loads JAX, which a download does not need

    unfinished = command.COLLECTING / f"{task}-{part}"
    hdf5.write_hdf5(raw, collect.collect(settings, part, unfinished))
    shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    command.run(main)
