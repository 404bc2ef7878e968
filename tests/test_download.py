"""Transfers of a dataset file, against a local server that does each thing that goes wrong."""

import hashlib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from dsrl_host import (
    BLOCK,
    NAME,
    Answer,
    Server,
    cut,
    dataset,
    hangs,
    ignores_range,
    leftovers,
    obtain,
    refused,
    status,
    whole,
)

from fisor.data import download
from fisor.errors import InputError


def test_good_file_arrives_and_its_hash_is_recorded(tmp_path: Path, server: Server) -> None:
    """The bytes are the server's; the hash stands as `sha256sum` writes it; no part stays."""
    path = obtain(tmp_path, server.address)
    assert path.read_bytes() == server.content
    digest = hashlib.sha256(server.content).hexdigest()
    assert (tmp_path / "sha256sums.txt").read_text() == f"{digest}  {NAME}\n"
    assert leftovers(tmp_path) == [NAME]
    assert server.requests[0]["path"] == f"/data/{NAME}"
    assert "Range" not in server.requests[0]


def test_second_time_needs_no_network(tmp_path: Path, server: Server) -> None:
    """What was fetched is kept: made again, the file comes without a request, and once recorded."""
    path = obtain(tmp_path, server.address)
    path.unlink()
    assert obtain(tmp_path, server.address).read_bytes() == server.content
    assert len(server.requests) == 1
    assert len((tmp_path / "sha256sums.txt").read_text().splitlines()) == 1


@pytest.mark.parametrize("slash", ["", "/"])
def test_hosts_slash_does_not_matter(tmp_path: Path, server: Server, slash: str) -> None:
    """A host is given with or without its last slash."""
    obtain(tmp_path, server.address + slash)
    assert server.requests[0]["path"] == f"/data/{NAME}"


@pytest.mark.parametrize("code", [403, 404])
def test_file_that_is_not_there(tmp_path: Path, server: Server, code: int) -> None:
    """Asked once; the message names address and status, and all three ways out."""
    server.script = [status(code)]
    message = refused(tmp_path, server.address)
    assert f"{server.address}/{NAME}: answers {code}" in message
    assert "`dataset_hosts` in params.yaml" in message
    assert str(tmp_path / "at_hand" / NAME) in message
    assert "`source: collect`" in message
    assert len(server.requests) == 1
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("code", [429, 500, 503])
def test_passing_failures_are_tried_again(tmp_path: Path, server: Server, code: int) -> None:
    """Twice an answer that may pass, then the file: three requests, right bytes."""
    server.script = [status(code), status(code), whole]
    assert obtain(tmp_path, server.address).read_bytes() == server.content
    assert len(server.requests) == 3


def test_patience_ends(tmp_path: Path, server: Server) -> None:
    """A server that only fails is asked as often as `attempts` says."""
    server.script = [status(500)]
    assert "answers 500 Internal Server Error, at the last of 3" in refused(
        tmp_path, server.address
    )
    assert len(server.requests) == 3


def test_cut_transfer_is_resumed(tmp_path: Path, server: Server) -> None:
    """After a cut, the second request asks for the rest of the same version alone."""
    server.script = [cut, whole]
    assert obtain(tmp_path, server.address).read_bytes() == server.content
    assert server.requests[1]["Range"] == f"bytes={2 * BLOCK}-"
    assert server.requests[1]["If-Range"] == '"1"'
    assert len(server.requests) == 2


def test_part_of_a_broken_transfer_is_kept_for_the_next_run(tmp_path: Path, server: Server) -> None:
    """A run that fails says how much it keeps; the next one goes on from there."""
    server.script = [cut, status(500)]
    assert f"{2 * BLOCK:,} bytes are kept" in refused(tmp_path, server.address)
    assert leftovers(tmp_path) == [f"{NAME}.part", f"{NAME}.part.version"]
    server.script = [whole]
    server.requests.clear()
    assert obtain(tmp_path, server.address).read_bytes() == server.content
    assert [request["Range"] for request in server.requests] == [f"bytes={2 * BLOCK}-"]


def test_part_that_is_already_whole(tmp_path: Path, server: Server) -> None:
    """A run that ended between the last byte and the checks: 416 with our size means done."""
    part = tmp_path / "downloads" / f"{NAME}.part"
    part.parent.mkdir()
    part.write_bytes(server.content)
    part.with_name(f"{NAME}.part.version").write_text('"1"')
    assert obtain(tmp_path, server.address).read_bytes() == server.content
    assert server.requests[0]["Range"] == f"bytes={len(server.content)}-"


def test_server_that_ignores_range(tmp_path: Path, server: Server) -> None:
    """Asked for the rest it sends everything: the file starts anew and nothing is doubled."""
    server.script = [cut, ignores_range]
    assert obtain(tmp_path, server.address).read_bytes() == server.content
    assert server.requests[1]["Range"] == f"bytes={2 * BLOCK}-"


def test_server_that_always_cuts_and_ignores_range(tmp_path: Path, server: Server) -> None:
    """Starting anew each time is no progress: it ends as for any other failure."""
    server.script = [cut]
    assert "connection failed after 131,072 bytes" in refused(tmp_path, server.address)
    assert len(server.requests) == 3


def test_changed_remote_file_is_not_glued_to_an_old_part(tmp_path: Path, server: Server) -> None:
    """Between two attempts the file changes: the old part goes, the new file comes whole."""
    server.script = [cut, status(404)]
    refused(tmp_path, server.address)
    server.content, server.etag, server.script = dataset(tmp_path, seed=1), '"2"', [whole]
    assert obtain(tmp_path, server.address).read_bytes() == server.content
    assert server.requests[-1]["If-Range"] == '"1"'


def test_changed_file_from_a_server_that_ignores_if_range(tmp_path: Path, server: Server) -> None:
    """A 206 of another version is not taken, though it fits in size: the next attempt is anew."""
    server.script = [cut, status(404)]
    refused(tmp_path, server.address)
    server.content, server.etag = dataset(tmp_path, seed=1), '"2"'

    def rest_of_the_new(answer: Answer) -> None:
        answer.if_range = '"2"'
        whole(answer)

    server.script = [rest_of_the_new, whole]
    assert obtain(tmp_path, server.address).read_bytes() == server.content


def test_without_a_version_nothing_is_resumed(tmp_path: Path, server: Server) -> None:
    """A server without ETag and date: after a cut, the file starts anew."""
    server.etag, server.script = "", [cut, whole]
    assert obtain(tmp_path, server.address).read_bytes() == server.content
    assert "Range" not in server.requests[1]


def test_refused_connection(tmp_path: Path, servers: Callable[[], Server]) -> None:
    """Nobody listens: address and reason; a mirror after it is asked."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    message = refused(tmp_path, address)
    assert f"{address}/{NAME}: connection failed" in message
    assert "refused" in message
    mirror = servers()
    assert obtain(tmp_path, address, mirror.address).read_bytes() == mirror.content


def test_name_that_does_not_resolve(
    tmp_path: Path, servers: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No network, as Python sees it: the message says so and where the file may be put."""

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    message = refused(tmp_path, "https://data.example.org")
    assert "Temporary failure in name resolution" in message
    assert str(tmp_path / "at_hand" / NAME) in message


def test_server_that_hangs(tmp_path: Path, server: Server) -> None:
    """No answer within the time: tried again, then said."""
    server.script = [hangs]
    message = refused(tmp_path, server.address, timeout_seconds=0.05)
    assert "no answer within 0.05 s, at the last of 3 attempts" in message


def test_hosts_in_their_order(tmp_path: Path, servers: Callable[[], Server]) -> None:
    """The first that gives the file ends it; those before and none after are asked."""
    first, second, third = servers(), servers(), servers()
    first.script = [status(404)]
    obtain(tmp_path, first.address, second.address, third.address)
    assert [len(server.requests) for server in (first, second, third)] == [1, 1, 0]


def test_wrong_file_of_a_mirror_does_not_end_the_search(
    tmp_path: Path, servers: Callable[[], Server]
) -> None:
    """A mirror with another file under the name is passed over for the right one."""
    mirror, host = servers(), servers()
    mirror.content = b"\x89HDF\r\n\x1a\n and then nothing"
    assert obtain(tmp_path, mirror.address, host.address).read_bytes() == host.content


def test_redirects_stay_on_the_web(tmp_path: Path, server: Server) -> None:
    """A redirect is followed over http; to a file of this machine it is not."""
    secret = tmp_path / "secret"
    secret.write_bytes(server.content)
    server.script = [lambda answer: answer.send(302, b"", Location=secret.as_uri())]
    assert "cannot be asked" in refused(tmp_path, server.address)
    server.script = [lambda answer: answer.send(302, b"", Location="/elsewhere"), whole]
    assert obtain(tmp_path, server.address).read_bytes() == server.content
    assert server.requests[-1]["path"] == "/elsewhere"


def test_full_disk_is_said(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space for the copy: the message has the system's reason, and no half file stays."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download.shutil, "copyfile", full)
    with pytest.raises(InputError, match="No space left on device"):
        obtain(tmp_path, server.address)
    assert not list((tmp_path / "raw").glob("*"))
