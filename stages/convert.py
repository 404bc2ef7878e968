"""Turn a dataset from DSRL's HDF5 layout into Parquet: all of its episodes, or some."""

import sys
from functools import partial
from pathlib import Path

from fisor.collect import parts
from fisor.config.data import ConvertStage
from fisor.data import conversion, hdf5
from fisor.data.subset import chosen_episodes
from stages import command


def main(task: str, raw: str, transitions: str) -> None:
    """Convert a folder of HDF5 to Parquet; what had to be changed is logged on standard error."""
    settings = command.settings(ConvertStage, task)
    choose = partial(
        chosen_episodes,
        expert_return=settings.expert_return,
        share=settings.data_share,
        seed=settings.data_share_seed,
    )
    files = [Path(raw) / f"{part}.hdf5" for part in settings.acquire_parts]
    if parts.is_divided(files):
        source, opened = Path(raw), lambda _: parts.joined(files, settings)
    else:
        source, opened = files[0], hdf5.open_hdf5
    changes = conversion.convert(source, transitions, settings, choose=choose, opened=opened)
    for sentence in changes.sentences():
        print(f"{source}: {sentence}", file=sys.stderr)


if __name__ == "__main__":
    command.run(main)
