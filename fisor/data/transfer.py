"""Transfer of one file over HTTP, with progress, retries, and resumption after interruptions."""

import re
import sys
from http import HTTPStatus
from pathlib import Path

import requests
from requests import exceptions
from tqdm import tqdm
from urllib3.exceptions import MaxRetryError
from urllib3.util import Retry

BLOCK_BYTES = 1 << 16  # received data that an interrupted transfer may lose
TRANSIENT = {429, 500, 502, 503, 504}  # status codes that are worth a retry


class Refused(Exception):
    """An address or a file for which a retry would not help."""


class _Broken(Exception):
    """A failed transfer that is worth a retry; `response` is the answer, if there was one."""

    def __init__(self, reason: str, response: requests.Response | None = None) -> None:
        super().__init__(reason)
        self.response = response


def fetch(
    session: requests.Session, address: str, part: Path, timeout_seconds: float, retry: Retry
) -> None:
    """Transfer a file until `part` is whole.

    Args:
        session: follows redirects, over http and https only.
        address: address of the file.
        part: the file to write; one that exists, from this address or an equivalent one, is resumed
            if the server says that it is of the same file.
        timeout_seconds: the longest wait for a connection and between two arrivals of data.
        retry: the number of consecutive attempts without new data, and the waits between them.

    Raises:
        Refused: the server does not give the file; `part` keeps what arrived.
    """
    left, longest = retry, _size(part)
    while True:
        try:
            return _transfer(session, address, part, timeout_seconds)
        except _Broken as fault:
            if _size(part) > longest:
                left, longest = retry, _size(part)
            try:
                left = left.increment("GET", address, error=fault)
            except MaxRetryError:
                raise Refused(f"{fault}, at the last of {len(left.history) + 1} attempts") from None
            print(f"{address}: {fault}; trying again", file=sys.stderr)
            left.sleep(None if fault.response is None else fault.response.raw)
        except exceptions.RequestException as error:
            raise Refused(f"cannot be asked ({error})") from error


def _transfer(session: requests.Session, address: str, part: Path, timeout_seconds: float) -> None:
    """One request, whose body is appended to `part`, or replaces it if the file has changed.

    Raises:
        _Broken: it is worth a retry; `part` keeps what arrived.
        Refused: a retry would not help.
    """
    version_path = _version_path(part)
    version = version_path.read_text(encoding="utf-8") if version_path.exists() else ""
    size = _size(part) if version else 0
    headers = {"Accept-Encoding": "identity"}  # so that Content-Length counts the file's bytes
    if size:
        # If the file has changed since, If-Range makes the server send all of the new one.
        headers |= {"Range": f"bytes={size}-", "If-Range": version}
    try:
        with session.get(
            address, headers=headers, stream=True, timeout=timeout_seconds
        ) as response:
            _refuse_other_answers(response)
            if size and response.status_code != HTTPStatus.OK:
                total: int | None = _size_if_resumed(response, part, version)
                if size == total:
                    return  # everything had arrived before
            else:
                total, size = _announced_size(response), 0
                remove(
                    part
                )  # before the new version is recorded, which must never accompany old bytes
                version_path.write_text(_version(response), encoding="utf-8")
            with (
                part.open("ab") as file,
                tqdm(
                    desc=part.stem,
                    total=total,
                    initial=size,
                    unit="B",
                    unit_scale=True,
                    disable=None,  # quiet where there is no terminal
                ) as progress,
            ):
                for block in response.iter_content(BLOCK_BYTES):
                    file.write(block)
                    progress.update(len(block))
    except exceptions.SSLError as error:
        raise Refused(f"no secure connection ({error})") from error
    except exceptions.Timeout as error:
        raise _Broken(f"no answer within {timeout_seconds:g} s") from error
    except (exceptions.ConnectionError, exceptions.ChunkedEncodingError) as error:
        raise _Broken(f"connection failed after {_size(part):,} bytes ({error})") from error
    if total is not None and _size(part) != total:
        raise _Broken(f"{_size(part):,} bytes arrived where {total:,} were announced")


def _refuse_other_answers(response: requests.Response) -> None:
    """Accept answers that contain the file or concern its range; reject others."""
    status = response.status_code
    if status in TRANSIENT:
        raise _Broken(f"answers {status} {response.reason}", response)
    ranges = (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
    if status != HTTPStatus.OK and not (status in ranges and "Range" in response.request.headers):
        raise Refused(f"answers {status} {response.reason}")
    if status == HTTPStatus.OK and response.headers.get("Content-Type", "").startswith("text/html"):
        raise Refused("answers with a web page (text/html) in place of the file")


def _announced_size(response: requests.Response) -> int | None:
    """Bytes of the whole file, or None where the answer does not say."""
    length = response.headers.get("Content-Length", "")
    packed = "Content-Encoding" in response.headers  # then Content-Length counts encoded bytes
    return int(length) if length.isdecimal() and not packed else None


def _size_if_resumed(response: requests.Response, part: Path, version: str) -> int:
    """Bytes of the whole file if this answer continues `part`; otherwise `part` is removed."""
    size, content_range = _size(part), response.headers.get("Content-Range", "")
    found = re.fullmatch(rf"bytes (?:{size}-\d+|\*)/(\d+)", content_range)
    if found and _version(response) in ("", version):
        total = int(found[1])
        if response.status_code == HTTPStatus.PARTIAL_CONTENT or total == size:
            return total
    remove(part)
    raise _Broken(f"asked for byte {size:,} and after, answers with `{content_range}`")


def _version(response: requests.Response) -> str:
    """Identifies this version of the file; if empty, nothing is resumed."""
    etag = response.headers.get("ETag", "")
    weak = not etag or etag.startswith("W/")  # If-Range takes strong ones and dates
    return response.headers.get("Last-Modified", "") if weak else etag


def _version_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def remove(part: Path) -> None:
    """Remove a partial file, and the record that is needed to resume it."""
    part.unlink(missing_ok=True)
    _version_path(part).unlink(missing_ok=True)
