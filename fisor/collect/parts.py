"""A dataset's parts: the whole, or one for each of a collection's learners, for a cluster."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import h5py

from fisor.collect.schedules import SCHEDULES
from fisor.collect.thinning import thinned
from fisor.config.data import ConvertStage
from fisor.data import hdf5
from fisor.errors import InputError

WHOLE = "all"
LEARNERS = tuple(range(len(SCHEDULES)))


def refuse_odd(parts: Sequence[str | int]) -> None:
    """Raise `InputError` unless `acquire_parts` of params.yaml is one of the two."""
    if list(parts) not in ([WHOLE], list(LEARNERS)):
        raise InputError(
            f"params.yaml: `acquire_parts` must be [{WHOLE}], or {list(LEARNERS)} for an item of "
            f"each of a collection's learners, not [{', '.join(map(str, parts))}]"
        )


def holds_undivided(part: str) -> bool:
    """Whether a part has all of a dataset that comes from no learners; the others have nothing."""
    return part in (WHOLE, str(LEARNERS[0]))


def is_divided(files: Sequence[Path]) -> bool:
    """Whether a dataset is divided among the files of its parts; if not, the first one has it."""
    if len(files) == 1:
        return False
    with hdf5.open_hdf5(files[-1]) as file:
        return bool(file.keys())


@contextmanager
def joined(files: Sequence[Path], task: ConvertStage) -> Iterator[h5py.File]:
    """The dataset of a task as a file in memory, from all episodes of each of its learners.

    Raises:
        InputError: a file cannot be read, or no episode is within the task's bounds.
    """
    fields = thinned(task, [partial(hdf5.open_hdf5, file) for file in files])
    with h5py.File("in memory", "w", driver="core", backing_store=False) as file:
        for name, values in fields.items():
            file[name] = values
        yield file
