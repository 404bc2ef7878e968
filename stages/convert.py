"""Turn a dataset from DSRL's HDF5 layout into Parquet: all of its episodes, or some."""

import sys
from functools import partial

from fisor.config.data import ConvertStage
from fisor.data import conversion
from fisor.data.subset import chosen_episodes
from stages import command


def main(task: str, raw: str, transitions: str) -> None:
    """Convert an HDF5 file to Parquet; what had to be changed is logged on standard error."""
    settings = command.settings(ConvertStage, task)
    choose = partial(
        chosen_episodes,
        expert_return=settings.expert_return,
        share=settings.data_share,
        seed=settings.data_share_seed,
    )
    changes = conversion.convert(raw, transitions, settings, choose=choose)
    for sentence in changes.sentences():
        print(f"{raw}: {sentence}", file=sys.stderr)


if __name__ == "__main__":
    command.run(main)
