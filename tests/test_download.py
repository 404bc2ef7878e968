"""Fetching a dataset file, against a local server that does each thing that goes wrong."""

import dataclasses
import hashlib
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from project import ROOT, checked, edit_yaml, run

from fisor import download
from fisor.datasets import write_hdf5
from fisor.errors import InputError
from fisor.tasks import Task, load_task
from stages import acquire

NAME = "SafetyToyRun-v0-80-3.hdf5"  # of 3 episodes
BLOCK = 1 << 16  # arrives in one piece


def dataset(folder: Path, seed: int = 0, timeouts: tuple[int, ...] = (9, 19)) -> bytes:
    """A file of 30 rows whose episodes end at rows 9, 19 and 29, some 300 kB of noise."""
    path = folder / f"{seed}.hdf5"
    ends = np.isin(np.arange(30), timeouts)
    noise = np.random.default_rng(seed).normal(size=(30, 1500))
    write_hdf5(path, {"observations": noise, "terminals": np.zeros(30), "timeouts": ends})
    content = path.read_bytes()
    path.unlink()
    return content


class Server:
    """Answers on 127.0.0.1 from a script: a function for each request in turn, then the last."""

    def __init__(self, content: bytes) -> None:
        self.content, self.etag = content, '"1"'
        self.script: list[Callable[[Any], None]] = [whole]
        self.requests: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append({"path": self.path, **self.headers})
                act = server.script.pop(0) if len(server.script) > 1 else server.script[0]
                act(Answer(self, server))
                self.close_connection = True

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.released = threading.Event()  # lets a hanging answer go
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/data"

    def stop(self) -> None:
        self.released.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


class Answer:
    """One answer in the making."""

    def __init__(self, handler: BaseHTTPRequestHandler, server: Server) -> None:
        self.handler, self.server = handler, server
        self.range = handler.headers.get("Range", "")
        self.if_range = handler.headers.get("If-Range", "")

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.handler.send_response(status)
        given = {"Content_Length": str(len(body)), "ETag": self.server.etag} | headers
        for name, value in given.items():
            if value:
                self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.write(body)


def whole(answer: Answer) -> None:
    """As a web server does: the file, or from a byte on if the version is the one asked for."""
    content = answer.server.content
    if answer.range and answer.if_range == answer.server.etag:
        first = int(answer.range.removeprefix("bytes=").removesuffix("-"))
        if first >= len(content):
            answer.send(416, b"", Content_Range=f"bytes */{len(content)}")
            return
        where = f"bytes {first}-{len(content) - 1}/{len(content)}"
        answer.send(206, content[first:], Content_Range=where)
    else:
        answer.send(200, content)


def status(code: int) -> Callable[[Answer], None]:
    return lambda answer: answer.send(code, b"no", Content_Type="text/plain")


def cut(answer: Answer) -> None:
    """Announces the whole file and closes the connection after two blocks and a bit."""
    content = answer.server.content
    answer.send(200, content[: 2 * BLOCK + 100], Content_Length=str(len(content)))


def ignores_range(answer: Answer) -> None:
    answer.send(200, answer.server.content)


def web_page(answer: Answer) -> None:
    answer.send(200, b"<!DOCTYPE html><title>Sign in</title>", Content_Type="text/html")


def hangs(answer: Answer) -> None:
    answer.server.released.wait(10)


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Server]]:
    """A function -> a further server of the same file; nothing is at hand, and no proxy."""
    monkeypatch.setenv("DSRL_DATASET_DIR", str(tmp_path / "at_hand"))
    monkeypatch.setenv("NO_PROXY", "*")
    started: list[Server] = []

    def start() -> Server:
        started.append(Server(dataset(tmp_path)))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def server(servers: Callable[[], Server]) -> Server:
    return servers()


def obtain(folder: Path, *hosts: str, name: str = NAME, timeout_seconds: float = 5.0) -> Path:
    """Fetch into `folder` without waiting between attempts; three attempts."""
    download.obtain(
        name,
        folder / "raw" / "Toy.hdf5",
        hosts=hosts,
        downloads=folder / "downloads",
        checksums_path=folder / "sha256sums.txt",
        timeout_seconds=timeout_seconds,
        attempts=3,
        backoff_seconds=0,
    )
    return folder / "raw" / "Toy.hdf5"


def refused(folder: Path, *hosts: str, **options: Any) -> str:
    """Fetching fails and leaves no file under its name; returns the message."""
    with pytest.raises(InputError) as raised:
        obtain(folder, *hosts, **options)
    assert not list((folder / "raw").glob("*"))
    assert not (folder / "downloads" / NAME).exists()
    return str(raised.value)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "downloads").glob("*"))


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


def test_web_page_in_place_of_the_file(tmp_path: Path, server: Server) -> None:
    """A page with status 200 is named as such, asked for once, and spoils no part."""
    server.script = [cut, web_page]
    message = refused(tmp_path, server.address)
    assert "answers with a web page (text/html)" in message
    assert (tmp_path / "downloads" / f"{NAME}.part").stat().st_size == 2 * BLOCK
    assert len(server.requests) == 2


def test_page_that_is_called_data(tmp_path: Path, server: Server) -> None:
    """The same under a false type: the file's beginning tells, and nothing of it stays."""
    server.content = b"<!DOCTYPE html><title>Sign in</title>"
    assert "is no HDF5 file: it begins with b'<!DOCTYPE html>" in refused(tmp_path, server.address)
    assert leftovers(tmp_path) == []


def test_cut_hdf5_that_is_whole_to_http(tmp_path: Path, server: Server) -> None:
    """A file that lies cut on the server has its announced size; HDF5 tells; nothing stays."""
    server.content = server.content[:-1000]
    assert "is not a whole HDF5 file" in refused(tmp_path, server.address)
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "sha256sums.txt").exists()


def test_hdf5_of_another_layout(tmp_path: Path, server: Server) -> None:
    """HDF5 without the flags of episodes is no dataset."""
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["rewards"] = np.zeros(3)
    server.content = (tmp_path / "other.hdf5").read_bytes()
    assert "field `terminals` is missing" in refused(tmp_path, server.address)


def test_wrong_number_of_episodes(tmp_path: Path, server: Server) -> None:
    """Two where the name says three: refused, removed, not recorded; the way round works."""
    server.content = dataset(tmp_path, timeouts=(9,))
    message = refused(tmp_path, server.address)
    assert "holds 2 episodes, where its name says 3" in message
    assert leftovers(tmp_path) == []
    digest = hashlib.sha256(server.content).hexdigest()
    assert f"add the line `{digest}  {NAME}`" in message
    (tmp_path / "sha256sums.txt").write_text(f"{digest}  {NAME}\n")
    assert obtain(tmp_path, server.address).read_bytes() == server.content


def test_name_without_a_number_of_episodes(tmp_path: Path, server: Server) -> None:
    """Such a file is held to HDF5 alone."""
    server.content = dataset(tmp_path, timeouts=(9,))
    assert obtain(tmp_path, server.address, name="mine.hdf5").exists()


def test_changed_hash_is_refused(tmp_path: Path, server: Server) -> None:
    """Another file under a known name: both hashes, what to do, nothing left, record as before."""
    digest = hashlib.sha256(server.content).hexdigest()
    (tmp_path / "sha256sums.txt").write_text(f"{digest}  {NAME}\n")
    server.content = dataset(tmp_path, seed=1)
    message = refused(tmp_path, server.address)
    assert digest in message
    assert hashlib.sha256(server.content).hexdigest() in message
    assert "remove that line" in message
    assert leftovers(tmp_path) == []
    assert (tmp_path / "sha256sums.txt").read_text() == f"{digest}  {NAME}\n"


@pytest.mark.parametrize("line", ["abc  x.hdf5", f"{'0' * 64}", "<<<<<<< HEAD"])
def test_damaged_checksums_are_named(tmp_path: Path, server: Server, line: str) -> None:
    """A line that is none of `sha256sum`'s is not passed over."""
    (tmp_path / "sha256sums.txt").write_text(f"{'0' * 64}  a.hdf5\n{line}\n")
    with pytest.raises(InputError, match=r"sha256sums\.txt: line 2"):
        obtain(tmp_path, server.address)


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


def test_file_at_hand_is_taken_first(tmp_path: Path, server: Server) -> None:
    """A copy, without any request; the file stays as it is, and its hash is recorded."""
    at_hand = tmp_path / "at_hand" / NAME
    at_hand.parent.mkdir()
    at_hand.write_bytes(dataset(tmp_path, seed=5))
    path = obtain(tmp_path, server.address)
    assert path.read_bytes() == at_hand.read_bytes()
    assert not path.samefile(at_hand)
    assert server.requests == []
    assert NAME in (tmp_path / "sha256sums.txt").read_text()


def test_wrong_file_at_hand_is_named(tmp_path: Path, server: Server) -> None:
    """A cut file in the folder is not silently replaced by another source, nor changed."""
    at_hand = tmp_path / "at_hand" / NAME
    at_hand.parent.mkdir()
    at_hand.write_bytes(server.content[:-1000])
    assert str(at_hand) in refused(tmp_path, server.address)
    assert at_hand.read_bytes() == server.content[:-1000]
    assert server.requests == []


def test_home_folder_of_dsrl_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DSRL_DATASET_DIR, files lie where the `dsrl` package puts them."""
    monkeypatch.delenv("DSRL_DATASET_DIR", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert download.dataset_directory() == Path("/home/someone/.dsrl/datasets")


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


@pytest.mark.parametrize(
    ("name", "episodes"),
    [
        ("SafetyBallRun-v0-80-940.hdf5", 940),
        ("SafetyPointCircle1Gymnasium-v0-65-1098.hdf5", 1098),
        ("SafetyBallRun-v0.hdf5", None),
        ("mine.hdf5", None),
    ],
)
def test_episodes_in_dsrls_names(name: str, episodes: int | None) -> None:
    """DSRL's names end by the highest cost and the number of episodes."""
    assert download.episodes_in_name(name) == episodes


@pytest.fixture
def task() -> Task:
    return load_task("PointRobot", ROOT / "tasks.yaml")


@pytest.mark.parametrize(
    ("acquire", "problem"),
    [
        ({"source": "dsrl"}, "must hold `source: dsrl` and `file`"),
        ({"source": "dsrl", "file": "a.hdf5", "sed": 0}, "unknown key `sed`; known: discount, "),
        ({"source": "dsrl", "file": 5}, r"file: must be a file's name"),
        ({"source": "dsrl", "file": "../a.hdf5"}, r"file: must be a file's name"),
        ({"source": "dsrl", "file": "a/b.hdf5"}, r"file: must be a file's name"),
        ({"source": "dsrl", "file": "a.pkl"}, r"file: must be a file's name"),
    ],
)
def test_wrong_acquire_entries_are_named(acquire: dict, problem: str, task: Task) -> None:
    """A file is a plain name: it cannot lead out of the folders, and is HDF5."""
    with pytest.raises(InputError, match=rf"PointRobot\.acquire.*{problem}"):
        download.dataset_file(dataclasses.replace(task, acquire=acquire))


def test_git_ignores_downloads_and_keeps_their_hashes() -> None:
    """The record of hashes is meant to be committed; what it is of is not."""
    ignored = run(ROOT, "git", "check-ignore", "data/downloads/a.hdf5", "data/sha256sums.txt")
    assert ignored.stdout.split() == ["data/downloads/a.hdf5"]


@pytest.mark.parametrize("source", ["dsrl", "elsewhere"])
def test_stage_goes_by_the_tasks_source(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """The stage fetches a DSRL task's file from params.yaml's hosts; other sources are refused."""
    for name in ("params.yaml", "tasks.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    edit_yaml(tmp_path / "params.yaml", {"dataset_hosts": [server.address]})
    tasks = yaml.safe_load((tmp_path / "tasks.yaml").read_text())
    tasks["PointRobot"]["acquire"] = {"source": source, "file": NAME}
    (tmp_path / "tasks.yaml").write_text(yaml.safe_dump(tasks))
    monkeypatch.chdir(tmp_path)
    if source == "dsrl":
        acquire.main("PointRobot", "data/raw/PointRobot.hdf5")
        assert Path("data/raw/PointRobot.hdf5").read_bytes() == server.content
        assert NAME in Path("data/sha256sums.txt").read_text()
    else:
        with pytest.raises(InputError, match="must be `collect` or `dsrl`"):
            acquire.main("PointRobot", "data/raw/PointRobot.hdf5")


def test_fetching_loads_no_array_library_of_training() -> None:
    """The stage's import is light: JAX is loaded only where data is collected."""
    code = "import sys, stages.acquire; assert 'jax' not in sys.modules"
    checked(ROOT, sys.executable, "-c", code)
