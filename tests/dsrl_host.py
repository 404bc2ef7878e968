"""A web host of a dataset's file that does each thing that goes wrong, and fetching from it."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fisor.data import download
from fisor.data.hdf5 import write_hdf5
from fisor.errors import InputError

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
