"""Turn a dataset from DSRL's HDF5 layout into Parquet: all of its episodes, or some."""

import sys
from functools import partial

from fisor import command, conversion
from fisor.params import load_params
from fisor.subset import chosen_episodes
from fisor.tasks import load_task


def main(task: str, raw: str, transitions: str) -> None:
    """Convert an HDF5 file to Parquet; what had to be changed is said on standard error."""
    params = load_params()
    choose = partial(
        chosen_episodes,
        expert_return=params.expert_return,
        share=params.data_share,
        seed=params.data_share_seed,
    )
    changes = conversion.convert(
        raw, transitions, load_task(task), drop_bad_rows=params.drop_bad_rows, choose=choose
    )
    for sentence in changes.sentences():
        print(f"{raw}: {sentence}", file=sys.stderr)


if __name__ == "__main__":
    command.run(main)
