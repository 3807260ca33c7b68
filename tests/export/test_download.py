"""Downloads: from a server in this process that breaks, changes its mind and has its limits."""

from __future__ import annotations

import hashlib
import os
import random
import re
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from shitu_edge_export.download import Download, download
from shitu_edge_export.errors import ExportError

CONTENT = random.Random(1).randbytes(600_000)
OTHER = random.Random(2).randbytes(500_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TWO = {"ETag": '"two"'}


@dataclass
class Behavior:
    """What the server does; the lists are used up by one entry a request."""

    content: bytes = CONTENT
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    knows_range: bool = True
    knows_if_range: bool = True
    length: bool = True
    breaks: list[int] = field(default_factory=list)  # end after so many bytes of the body
    stalls: bool = False  # but say nothing more instead of ending the connection
    later: Behavior | None = None  # from the second request on
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # these instead of the content


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behavior = Behavior()
        self.asked: list[tuple[str | None, str | None]] = []
        self.waits: list[float] = []  # of the client, between two tries
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/file.tar"

    @property
    def ranges(self) -> list[str | None]:
        return [asked for asked, _ in self.asked]

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the client may leave when it wants to


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        how = self.server.behavior
        self.server.asked.append((self.headers["Range"], self.headers["If-Range"]))
        if how.answers:
            self.answer(*how.answers.pop(0), b"sorry")
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        same = not how.knows_if_range or self.headers["If-Range"] in (None, *how.headers.values())
        start = int(asked[1]) if asked and how.knows_range and same else 0
        if start >= len(how.content):
            self.answer(416, {}, b"")
            return
        body = how.content[start:]
        headers = {**how.headers, "Content-Length": str(len(body))} if how.length else how.headers
        rest = {"Content-Range": f"bytes {start}-{len(how.content) - 1}/{len(how.content)}"}
        self.answer(206 if start else 200, {**headers, **rest} if start else headers, body)

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        how = self.server.behavior
        self.wfile.write(body[: how.breaks[0] if how.breaks else None])
        self.server.behavior = how.later or how
        if how.breaks and how.breaks.pop(0) and how.stalls:
            self.server.released.wait(30)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.released.set()
        server.shutdown()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "file.tar"


Load = Callable[..., Download]


@pytest.fixture
def load(server: Server, target: Path) -> Load:
    """Download the server's file, with waits that are written down instead of waited for."""
    return lambda url=server.url, **options: download(url, target, **{"sleep": server.waits.append, **options})


@pytest.mark.parametrize("length", [True, False])
def test_download_appears_whole_and_nothing_else_stays(load: Load, server: Server, target: Path, length: bool) -> None:
    server.behavior.length = length
    reports: list[tuple[int, int | None]] = []
    there: list[bool] = []

    def report(done: int, total: int | None) -> None:
        reports.append((done, total))
        there.append(target.exists())

    assert load(report=report) == Download(server.url, target, len(CONTENT), SHA256)
    assert not any(there)
    assert target.read_bytes() == CONTENT
    assert os.listdir(target.parent) == ["file.tar"]
    total = len(CONTENT) if length else None
    assert (reports[0], reports[-1]) == ((0, total), (len(CONTENT), total))


def test_download_leaves_a_target_with_the_right_digest_alone(load: Load, server: Server, target: Path) -> None:
    load()
    server.asked.clear()
    os.utime(target, (1, 1))
    assert load(sha256=SHA256.upper()) == Download(server.url, target, len(CONTENT), SHA256)
    assert (target.stat().st_mtime, server.asked) == (1, [])


def test_download_continues_after_a_broken_connection(load: Load, server: Server, target: Path) -> None:
    server.behavior.breaks = [100_000, 0, 300_000]
    load()
    assert target.read_bytes() == CONTENT
    assert os.listdir(target.parent) == ["file.tar"]
    assert server.waits == [0.5, 1.0, 2.0]
    rest = [("bytes=100000-", '"one"'), ("bytes=100000-", '"one"'), ("bytes=400000-", '"one"')]
    assert server.asked == [(None, None), *rest]


def test_download_leaves_a_server_that_says_nothing_more(load: Load, server: Server, target: Path) -> None:
    server.behavior = Behavior(breaks=[300_000], stalls=True)
    load(timeout_s=0.5)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]


def test_download_that_fails_says_what_to_do_and_leaves_nothing(load: Load, server: Server, target: Path) -> None:
    server.behavior.breaks = [100_000] * 5
    with pytest.raises(ExportError) as told:
        load()
    message = "the connection ended at 500000 of 600000 bytes, tried 5 times; try another server (--mirror) or a folder"
    assert str(told.value).startswith(f"{server.url}: {message}")
    assert os.listdir(target.parent) == []
    assert load().sha256 == SHA256


def test_download_that_is_interrupted_leaves_what_was_there(load: Load, server: Server, target: Path) -> None:
    def press(_: float) -> None:
        raise KeyboardInterrupt

    target.parent.mkdir()
    target.write_bytes(b"old")
    server.behavior.breaks = [300_000]
    with pytest.raises(KeyboardInterrupt):
        load(sleep=press)
    assert (os.listdir(target.parent), target.read_bytes()) == (["file.tar"], b"old")


@pytest.mark.parametrize(
    ("now", "ranges"),
    [
        (Behavior(OTHER, TWO), [None, "bytes=300000-"]),
        (Behavior(OTHER, TWO, knows_if_range=False), [None, "bytes=300000-", None]),
        (Behavior(knows_range=False), [None, "bytes=300000-"]),
    ],
)
def test_download_starts_over_when_the_file_has_changed_or_ranges_are_ignored(
    load: Load, server: Server, target: Path, now: Behavior, ranges: list[str | None]
) -> None:
    server.behavior = Behavior(breaks=[300_000], later=now)
    load()
    assert target.read_bytes() == now.content
    assert server.ranges == ranges


@pytest.mark.parametrize("headers", [{"ETag": 'W/"weak"'}, {}])
def test_download_starts_over_when_nothing_tells_the_version(
    load: Load, server: Server, target: Path, headers: dict[str, str]
) -> None:
    server.behavior = Behavior(headers=headers, breaks=[300_000])
    load()
    assert server.asked == [(None, None), (None, None)]
    assert target.read_bytes() == CONTENT


def test_download_of_what_is_not_there_fails_at_once(load: Load, server: Server) -> None:
    server.behavior.answers = [(404, {})]
    with pytest.raises(ExportError, match=r"file\.tar: the server answers 404 Not Found; .*--mirror.*--from-dir"):
        load()
    assert (len(server.asked), server.waits) == (1, [])


def test_download_tries_again_what_may_pass(load: Load, server: Server) -> None:
    server.behavior.answers = [(408, {}), (429, {}), (500, {}), (503, {})]
    assert load().sha256 == SHA256
    assert server.waits == [0.5, 1.0, 2.0, 4.0]


def test_download_without_a_network_says_where_else(load: Load, server: Server, target: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ExportError, match=r"Connection refused, tried 5 times; .*--mirror.*--from-dir"):
            load(f"http://127.0.0.1:{unused.getsockname()[1]}/x")
    assert os.listdir(target.parent) == []


def test_download_with_a_wrong_digest_leaves_nothing_new(load: Load, server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"old")
    wrong = hashlib.sha256(OTHER).hexdigest()
    with pytest.raises(ExportError, match=f"wrong SHA-256: expected {wrong}, found {SHA256}; .*--mirror"):
        load(sha256=wrong)
    assert (os.listdir(target.parent), target.read_bytes(), server.waits) == (["file.tar"], b"old", [])


def test_download_refuses_a_file_over_the_limit(load: Load, server: Server, target: Path) -> None:
    for server.behavior.length in (True, False):
        with pytest.raises(ExportError, match="larger than the limit of 599999 bytes"):
            load(max_bytes=len(CONTENT) - 1)
        assert os.listdir(target.parent) == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "/etc/passwd",
        "",
        "http://[::1/x",
        "http://127.0.0.1/a b",
        "http:///x\n",
    ],
)
def test_download_refuses_urls(load: Load, server: Server, url: str) -> None:
    with pytest.raises(ExportError, match=r"expected a URL of http|is not a URL") as told:
        load(url)
    assert str(told.value).isprintable()
    assert server.waits == []


def test_download_to_a_full_disk_leaves_nothing(load: Load, server: Server, target: Path) -> None:
    """The system's limit stands in for one: it takes a part of a write, then nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_001, hard))
    try:
        with pytest.raises(ExportError, match=r"file\.tar cannot be written: File too large"):
            load()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(target.parent) == []
    assert load().sha256 == SHA256
