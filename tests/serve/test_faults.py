"""Callers and machines that misbehave, each with its stated outcome; the next request is answered as ever."""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shitu_edge.serve import binding
from tests.test_recognizer import BLUE, RED, product, scene

from .client import png
from .conftest import WITHIN_S, Serve, Serving

COUNTER = png(scene((1, 1, RED)))
HEAD = (
    "POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    f"Content-Length: {len(COUNTER)}\r\n\r\n"
).encode()


def _socket(serving: Serving) -> socket.socket:
    place = urlsplit(serving.client.address)
    return socket.create_connection((place.hostname or "", place.port or 0), timeout=WITHIN_S)


def _received(connection: socket.socket) -> bytes:
    """Return what comes until the other side closes."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def _works(serving: Serving) -> None:
    answer = serving.client.send("/v1/recognize", COUNTER)
    assert [item["label"] for item in answer.json["items"]] == ["red"]


class Gate:
    """Holds the worker until it is let, so that requests wait."""

    def __init__(self, serving: Serving) -> None:
        self.begun, self.let = threading.Event(), threading.Event()
        self._serving = serving

    def __enter__(self) -> Gate:
        def hold() -> None:
            self.begun.set()
            assert self.let.wait(WITHIN_S)

        loop = self._serving.server._loop
        assert loop is not None
        import asyncio

        self._future = asyncio.run_coroutine_threadsafe(self._serving.service.recognizing.run(hold, None), loop)
        assert self.begun.wait(WITHIN_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.let.set()
        self._future.result(WITHIN_S)


def _until(happened: Callable[[], bool]) -> None:
    for _ in range(WITHIN_S * 1000):
        if happened():
            return
        threading.Event().wait(0.001)
    pytest.fail("did not happen in time")


def test_client_that_goes_while_it_waits_is_not_answered(serve: Serve) -> None:
    serving = serve()
    with Gate(serving):
        connection = _socket(serving)
        connection.sendall(HEAD + COUNTER)
        _until(lambda: serving.service.recognizing.inside == 2)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()  # a reset
        _until(lambda: serving.service.recognizing.inside == 1)
    _works(serving)
    assert 'route="/v1/recognize",status="499"} 1.0' in serving.client.get("/metrics").content.decode()


def test_client_that_goes_in_the_middle_of_its_body_is_forgotten(shared_server: Serving) -> None:
    connection = _socket(shared_server)
    connection.sendall(HEAD + COUNTER[:50])
    connection.close()
    _until(lambda: 'status="499"' in shared_server.client.get("/metrics").content.decode())
    _works(shared_server)


def test_full_queue_refuses_before_the_body_is_sent(serve: Serve) -> None:
    serving = serve(queue=1)
    with Gate(serving):
        with _socket(serving) as connection:
            connection.sendall(HEAD)  # and no body
            status = connection.recv(65536)
        assert status.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: " in status
        answer = serving.client.send("/v1/recognize", COUNTER)
        assert (answer.status, answer.error) == (503, "BusyError")
        assert answer.json["error"]["retry_after_ms"] >= 1
    _works(serving)
    assert 'shitu_edge_refused_total{reason="queue"} 2.0' in serving.client.get("/metrics").content.decode()


def test_slow_body_is_408(serve: Serve) -> None:
    serving = serve(body_timeout_s=0.1)
    with _socket(serving) as connection:
        connection.sendall(HEAD + COUNTER[:50])
        received = _received(connection)
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.1 s" in received
    _works(serving)


def test_slow_body_is_given_up_at_its_deadline(serve: Serve) -> None:
    serving = serve()
    with _socket(serving) as connection:
        connection.sendall(HEAD.replace(b"\r\n\r\n", b"\r\nDeadline-Ms: 100\r\n\r\n") + COUNTER[:50])
        assert _received(connection).startswith(b"HTTP/1.1 408 ")
    _works(serving)


def test_connection_without_a_head_is_closed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "HEAD_TIMEOUT_S", 0.1)
    serving = serve()
    for sent in (b"", b"POST /v1/recog"):
        with _socket(serving) as connection:
            connection.sendall(sent)
            assert _received(connection) == b""
    _works(serving)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0" * 70_000,
        b"POST /v1/recognize\r\n\r\n",
    ],
)
def test_garbage_is_400_and_closed(shared_server: Serving, garbage: bytes) -> None:
    with _socket(shared_server) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        received = _received(connection)
    assert received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 ")) or not received
    _works(shared_server)


def test_body_of_100_mb_is_413_before_it_is_read(shared_server: Serving) -> None:
    head = HEAD.replace(str(len(COUNTER)).encode(), b"104857600")
    with _socket(shared_server) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    _works(shared_server)


def test_body_of_100_mb_that_is_sent_all_the_same_is_413(shared_server: Serving) -> None:
    answer = shared_server.client.send("/v1/recognize", bytes(100 << 20))
    assert (answer.status, answer.error) == (413, "RequestError")
    _works(shared_server)


def test_endless_body_is_413_and_closed(serve: Serve) -> None:
    serving = serve(max_body_mb=1)
    with _socket(serving) as connection:
        connection.sendall(HEAD.replace(f"Content-Length: {len(COUNTER)}".encode(), b"Transfer-Encoding: chunked"))
        chunk = b"%x\r\n%s\r\n" % (1 << 16, bytes(1 << 16))
        with suppress(ConnectionError):  # a reset or a broken pipe, as it comes
            while True:
                connection.sendall(chunk)
    _works(serving)


def test_image_over_the_pixel_limit_is_refused(serve: Serve) -> None:
    serving = serve(max_megapixels=1)
    answer = serving.client.send("/v1/recognize", png(scene(side=2048)))
    assert (answer.status, answer.error) == (422, "ImageError")
    _works(serving)


def test_enrolling_on_a_full_disk_is_503_and_changes_nothing(
    serve: Serve, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    serving = serve()
    with full_disk():
        answer = serving.client.send("/v1/enroll", png(product(BLUE)), token="enroll", label="blue", crop="false")
        assert (answer.status, answer.error) == (503, "GalleryError")
        _works(serving)
    assert serving.client.get("/v1/items").json["total"] == 2
    assert serving.client.send("/v1/enroll", png(product(BLUE)), token="enroll", label="blue").status == 200


def test_log_on_a_full_disk_loses_lines_alone(
    tiny_bundle: Path, shop: Path, tmp_path: Path, serve: Serve, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    from shitu_edge.serve.log import NAME, logged_to

    logging.getLogger("shitu_edge").setLevel(logging.INFO)
    try:
        with logged_to(tmp_path):
            serving = serve()
            _works(serving)
            with full_disk():
                _works(serving)
            _works(serving)
    finally:
        logging.getLogger("shitu_edge").setLevel(logging.NOTSET)
    assert "POST /v1/recognize 200" in (tmp_path / NAME).read_text(encoding="utf-8")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no root")
def test_cache_that_cannot_be_written_is_done_without(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be: read-only for root as well")
    serving = serve(cache=str(tmp_path / "cache"))
    _works(serving)


def test_clock_set_back_changes_no_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = serve()
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    answer = serving.client.send("/v1/recognize", COUNTER, headers={"Deadline-Ms": "60000"})
    assert answer.status == 200
    added = serving.client.send("/v1/enroll", png(product(BLUE)), token="enroll", label="blue", crop="false")
    assert added.json["revision"] == 4
    _works(serving)


def test_handler_that_breaks_is_500_without_a_traceback(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    serving = serve()
    monkeypatch.setattr("shitu_edge.recognizer.Recognizer.recognize", lambda *_, **__: 1 / 0)
    answer = serving.client.send("/v1/recognize", COUNTER)
    assert (answer.status, answer.error) == (500, "InternalError")
    assert b"ZeroDivision" not in answer.content
    assert "ZeroDivisionError" in caplog.text
