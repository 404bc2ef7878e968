"""Get a dataset file of DSRL from a local folder or from a host; verified, and written atomically.

An interrupted transfer is resumed, a wrong file is rejected, and each file's SHA-256 is recorded.
"""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import requests
from urllib3.util import Retry

from fisor.data import hdf5, transfer
from fisor.data.transfer import Refused
from fisor.errors import InputError
from fisor.outputs import atomic_file

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def episodes_in_name(file_name: str) -> int | None:
    """The number of episodes at the end of DSRL's names, TASK-MAXCOST-EPISODES.hdf5, or None."""
    found = re.fullmatch(r".+-\d+-(\d+)\.hdf5", file_name)
    return int(found[1]) if found else None


def dataset_directory() -> Path:
    """Where the `dsrl` package keeps its files: `$DSRL_DATASET_DIR`, or its own default."""
    return Path(os.environ.get("DSRL_DATASET_DIR") or "~/.dsrl/datasets").expanduser()


def obtain(
    file_name: str,
    destination: str | Path,
    *,
    hosts: Sequence[str],
    downloads: str | Path,
    checksums_path: str | Path,
    timeout_seconds: float = 60.0,
    attempts: int = 6,
    backoff_seconds: float = 1.0,
) -> None:
    """Write a dataset file to `destination`, which appears only when it is complete and correct.

    It is taken from the first of these that has it: `dataset_directory()`, `downloads`, each of
    `hosts`. Downloaded files are kept in `downloads`, so that making `destination` again needs no
    network. During the transfer the file is called NAME.part, which a later call resumes.

    Args:
        file_name: as DSRL names it.
        destination: the file to make, a copy.
        hosts: addresses without the file's name, tried in this order.
        downloads: folder of downloaded files and of interrupted transfers.
        checksums_path: SHA-256 of each file in the format of `sha256sum`. A listed file must have
            that hash; a file that is not listed must be HDF5 with as many episodes as its name
            says, and is added.
        timeout_seconds: the longest wait for a connection and between two arrivals of data.
        attempts: the number of consecutive attempts per host without receiving new data.
        backoff_seconds: wait after the second failure; it doubles from then on, and a server may
            ask for more.

    Raises:
        InputError: no host gave the right file (the message has the reason for each, and what to
            do), or a local file is wrong.
    """
    downloads, checksums_path = Path(downloads), Path(checksums_path)
    at_hand = [folder / file_name for folder in (dataset_directory(), downloads)]
    source = next((path for path in at_hand if path.is_file()), None)
    try:
        if source is None:
            retry = Retry(total=attempts - 1, backoff_factor=backoff_seconds, retry_after_max=120)
            source = _download(file_name, hosts, downloads, checksums_path, timeout_seconds, retry)
        else:
            print(f"{file_name}: taken from {source}", file=sys.stderr)
            _check(source, file_name, checksums_path)
        with atomic_file(destination) as partial:
            shutil.copyfile(source, partial)
    except Refused as fault:
        raise InputError(f"{source}: {fault}; to have it fetched, take it away there") from fault
    except OSError as error:
        place = error.filename or downloads
        raise InputError(f"{place}: cannot be read or written ({error.strerror})") from error


def _download(
    file_name: str,
    hosts: Sequence[str],
    downloads: Path,
    checksums_path: Path,
    timeout_seconds: float,
    retry: Retry,
) -> Path:
    """Download from the first host that gives the right file; returns its path in `downloads`."""
    downloads.mkdir(parents=True, exist_ok=True)
    part = downloads / f"{file_name}.part"
    faults = []
    with requests.Session() as session:
        for host in hosts:
            address = f"{host.rstrip('/')}/{quote(file_name)}"
            try:
                transfer.fetch(session, address, part, timeout_seconds, retry)
            except Refused as fault:
                faults.append(f"  {address}: {fault}")
                continue
            try:
                _check(part, file_name, checksums_path)
            except Refused as fault:
                transfer.remove(part)  # complete but wrong: nothing to resume
                faults.append(f"  {address}: {fault}")
                continue
            whole = part.replace(downloads / file_name)
            transfer.remove(part)
            return whole
    if part.exists():
        faults.append(f"  {part.stat().st_size:,} bytes are kept in {part} to go on from")
    raise InputError(
        "\n".join([f"{file_name}: no host gave this file", *faults])
        + "\nGive a mirror at the head of `dataset_hosts` in params.yaml, or put the file at "
        f"{dataset_directory() / file_name}, or have the task's data collected (`source: collect` "
        "under `acquire` in tasks.yaml)."
    )


def _check(path: Path, file_name: str, checksums_path: Path) -> None:
    """Check a file by its recorded SHA-256, or else as HDF5 and by its name, and record it."""
    with path.open("rb") as file:
        begin = file.read(64)
        if not begin.startswith(HDF5_SIGNATURE):
            raise Refused(f"is no HDF5 file: it begins with {begin!r}")
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    recorded = read_checksums(checksums_path).get(file_name)
    if recorded == digest:
        return
    if recorded is not None:
        raise Refused(
            f"has SHA-256 {digest}, where {checksums_path} holds {recorded}; if the new file is "
            "the right one, remove that line"
        )
    try:
        episodes = hdf5.count_episodes(path)
    except InputError as error:
        raise Refused(f"is not right: {error}") from error
    expected = episodes_in_name(file_name)
    if expected is not None and episodes != expected:
        raise Refused(
            f"holds {episodes} episodes, where its name says {expected}; if it is right all the "
            f"same, add the line `{digest}  {file_name}` to {checksums_path}"
        )
    checksums_path.parent.mkdir(parents=True, exist_ok=True)
    with checksums_path.open("a", encoding="utf-8") as file_of_checksums:
        file_of_checksums.write(f"{digest}  {file_name}\n")


def read_checksums(path: str | Path) -> dict[str, str]:
    """File name -> SHA-256 of a file in `sha256sum`'s format; empty if there is none.

    Raises:
        InputError: a line is not of that format, or a name stands twice.
    """
    path = Path(path)
    checksums: dict[str, str] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        found = re.fullmatch(r"([0-9a-f]{64}) [ *](\S+)", line)
        if not found or found[2] in checksums:
            raise InputError(f"{path}: line {number} is no `SHA-256  NAME`, or names a file again")
        checksums[found[2]] = found[1]
    return checksums
