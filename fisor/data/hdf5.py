"""Datasets in DSRL's HDF5 layout: written, opened, counted."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from fisor.errors import InputError
from fisor.outputs import atomic_file

DENSE_VIOLATIONS = "violations"  # h itself, a field that DSRL does not have
# HDF5 splits a large array into blocks of many rows and few columns. When reading some rows at a
# time, each block would be decompressed repeatedly if not all blocks of these rows were cached.
BLOCK_CACHE_BYTES = 64 << 20  # of each field


def write_hdf5(path: str | Path, fields: Mapping[str, np.ndarray]) -> None:
    """Write arrays of n rows each as one HDF5 file; the same arrays give the same bytes.

    The format is that of HDF5 1.8, which old versions of h5py can read.
    """
    bounds = ("earliest", "v108")
    with atomic_file(path) as partial, h5py.File(partial, "w", libver=bounds) as file:
        for name, values in fields.items():
            file.create_dataset(name, data=values, compression="gzip", shuffle=True)


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """Open an HDF5 file to read its rows in order.

    Raises:
        InputError: the file does not exist, is not HDF5, or was cut short.
    """
    try:
        file = h5py.File(path, "r", rdcc_nbytes=BLOCK_CACHE_BYTES, rdcc_nslots=10007)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; `dvc repro` makes it") from error
    except OSError as error:
        raise InputError(f"{path}: is not a whole HDF5 file ({error})") from error
    with file:
        yield file


def count_episodes(path: str | Path) -> int:
    """Number of episodes in a file of DSRL's layout, including one that is cut by the file's end.

    Raises:
        InputError: as `open_hdf5`, or the file lacks `terminals` or `timeouts`.
    """
    with open_hdf5(path) as file:
        flags = []
        for name in ("terminals", "timeouts"):
            field = file.get(name)
            if not isinstance(field, h5py.Dataset) or field.dtype.kind not in "biuf":
                raise InputError(f"{path}: field `{name}` is missing or holds no numbers")
            flags.append(field[...].reshape(-1) != 0)
    if flags[0].shape != flags[1].shape or flags[0].size == 0:
        raise InputError(f"{path}: `terminals` and `timeouts` hold no or unequal rows")
    ends = flags[0] | flags[1]
    return int(ends.sum()) + int(not ends[-1])
