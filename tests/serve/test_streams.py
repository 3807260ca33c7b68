"""Streams over HTTP: steady baskets, events to readers, bounds, ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge.serve import streams
from tests.test_recognizer import BLUE, GREEN, RED, scene

from .client import Client, png
from .conftest import WITHIN_S, Serve, Serving
from .test_engines import failing

EMPTY, ONE, TWO = scene(), scene((1, 1, RED)), scene((1, 1, RED), (5, 5, GREEN))


def _show(client: Client, pixels: NDArray[np.uint8], at_s: float, name: str = "till") -> Any:
    """Feed a frame, with noise as every sensor has it, and return the answer."""
    noise = np.random.default_rng(round(at_s * 1000)).integers(-2, 3, pixels.shape)
    frame = np.clip(pixels.astype(int) + noise, 0, 255).astype(np.uint8)
    answer = client.send(f"/v1/streams/{name}/frames", png(frame), at_s=at_s)
    assert answer.status == 200, answer.content
    return answer.json


def _play(client: Client, name: str = "till") -> list[Any]:
    """Show an empty counter, one thing, two things and none again, at 10 frames per second; return the answers."""
    shown = [EMPTY] * 5 + [ONE] * 25 + [TWO] * 25 + [EMPTY] * 25
    return [_show(client, pixels, 0.1 * number, name) for number, pixels in enumerate(shown)]


@contextmanager
def _events(client: Client, name: str = "till", last_id: str = "") -> Iterator[HTTPResponse]:
    connection = client.connect()
    connection.request("GET", f"/v1/streams/{name}/events", headers={"Last-Event-ID": last_id} if last_id else {})
    response = connection.getresponse()
    assert response.status == 200
    yield response
    connection.close()


def _next(response: HTTPResponse) -> tuple[str, str, Any]:
    """Return the next event's id, kind and record."""
    lines: dict[str, str] = {}
    while True:
        line = response.readline().decode()
        assert line, "the connection was closed"
        if line == "\n" and "event" in lines:
            return lines["id"], lines["event"], json.loads(lines["data"])
        name, _, value = line.strip().partition(": ")
        lines[name] = value


def test_frames_give_a_steady_basket(serve: Serve) -> None:
    client = serve().client
    answers = _play(client)
    assert set(answers[0]) >= {"schema_version", "events", "basket", "tracks", "retried"}
    assert answers[29]["basket"] == {"red": 1}
    assert answers[54]["basket"] == {"red": 1, "grün": 1}
    assert answers[-1]["basket"] == {}
    kinds = [(event["kind"], event["track"] and event["track"]["label"]) for one in answers for event in one["events"]]
    assert [label for kind, label in kinds if kind == "named"] == ["red", "grün"]
    assert sum(kind == "left" for kind, _ in kinds) == 2
    assert kinds[-1][0] == "empty"


def test_readers_get_the_events_of_the_answers(serve: Serve) -> None:
    serving = serve()
    client = serving.client
    with _events(client) as first, _events(client) as second:
        assert [_next(one)[1] for one in (first, second)] == ["state", "state"]
        answers = _play(client)
        expected = [event for answer in answers for event in answer["events"]]
        for reader in (first, second):
            got = [_next(reader) for _ in expected]
            assert [record for _, _, record in got] == [{"schema_version": 1, **event} for event in expected]
            assert [kind for _, kind, _ in got] == [event["kind"] for event in expected]
    with _events(client, last_id=got[-3][0]) as back:
        assert [_next(back)[0] for _ in range(2)] == [number for number, _, _ in got[-2:]]
    text = client.get("/metrics").content.decode()
    assert 'shitu_edge_stream_events_total{kind="named"} 2.0' in text
    assert "shitu_edge_streams 1.0" in text


def test_streams_are_listed_shown_and_ended(serve: Serve) -> None:
    client = serve().client
    _show(client, ONE, 0, "b")
    _show(client, ONE, 0, "a")
    listed = client.get("/v1/streams").json["streams"]
    assert [(one["id"], one["owner"], one["counts"]["fed"], one["readers"]) for one in listed] == [
        ("a", "caller", 1, 0),
        ("b", "caller", 1, 0),
    ]
    assert client.get("/v1/streams/a").json["id"] == "a"
    assert client.ask("DELETE", "/v1/streams/a").json["id"] == "a"
    assert [client.ask(method, "/v1/streams/a").status for method in ("GET", "DELETE")] == [404, 404]


def test_end_closes_readers(serve: Serve) -> None:
    client = serve().client
    with _events(client) as reader:
        assert _next(reader)[1] == "state"
        client.ask("DELETE", "/v1/streams/till")
        assert reader.read() in (b"", b"\n")


def test_streams_are_bounded(serve: Serve) -> None:
    client = serve(max_streams=1).client
    _show(client, ONE, 0)
    answer = client.send("/v1/streams/other/frames", png(ONE))
    assert (answer.status, answer.error) == (503, "BusyError")
    assert client.get("/v1/streams/other/events").status == 503
    client.ask("DELETE", "/v1/streams/till")
    assert client.send("/v1/streams/other/frames", png(ONE)).status == 200


def test_readers_are_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_READERS", 1)
    client = serve().client
    with _events(client):
        assert client.get("/v1/streams/till/events").status == 503


def test_idle_stream_ends_and_a_read_one_does_not(serve: Serve) -> None:
    serving = serve()
    _show(serving.client, ONE, 0, "idle")
    with _events(serving.client, "read") as reader:
        _next(reader)
        serving.run(_end_idle(serving))
        assert [one["id"] for one in serving.client.get("/v1/streams").json["streams"]] == ["read"]


async def _end_idle(serving: Serving) -> None:
    serving.service.streams.end_idle(-1)


@pytest.mark.parametrize("name", ["a b", "x" * 65, "ä", "a.b"])
def test_names_are_short_and_plain(shared_server: Serving, name: str) -> None:
    assert shared_server.client.send(f"/v1/streams/{name}/frames", png(ONE)).status == 422
    assert shared_server.client.get("/v1/streams").json["streams"] == []


def test_frame_that_is_not_an_image_leaves_the_stream(serve: Serve) -> None:
    client = serve().client
    _show(client, ONE, 0)
    assert client.send("/v1/streams/till/frames", b"garbage").status == 422
    assert _show(client, ONE, 0.1)["counts"]["unreadable"] == 1


def test_second_frame_at_the_same_time_is_refused(serve: Serve) -> None:
    serving = serve(queue=8)
    _show(serving.client, ONE, 0)
    stream = serving.service.streams.get("till")
    stream.begin()
    answer = serving.client.send("/v1/streams/till/frames", png(ONE))
    assert (answer.status, answer.error) == (503, "BusyError")
    stream.end()
    assert _show(serving.client, ONE, 0.1)["counts"]["fed"] == 2


def test_reload_begins_a_stream_again_and_says_so(serve: Serve) -> None:
    client = serve().client
    for number in range(25):
        before = _show(client, ONE, 0.1 * number)
    assert before["basket"] == {"red": 1}
    with _events(client) as reader:
        assert _next(reader)[2]["basket"] == {"red": 1}
        assert client.ask("POST", "/v1/reload", token="manage").status == 200
        answers = [_show(client, ONE, 3 + 0.1 * number) for number in range(25)]
        assert answers[0]["counts"]["fed"] == 1
        assert answers[-1]["basket"] == {"red": 1}
        assert _next(reader)[1] == "restarted"


def test_stop_ends_readers(serve: Serve) -> None:
    serving = serve()
    with _events(serving.client) as reader:
        _next(reader)
        serving.server.stop()
        ended = threading.Event()

        def read() -> None:
            reader.read()
            ended.set()

        thread = threading.Thread(target=read)
        thread.start()
        assert ended.wait(WITHIN_S)
        thread.join()


def test_change_of_the_gallery_is_an_event(serve: Serve) -> None:
    client = serve().client
    for number in range(25):
        _show(client, scene((1, 1, RED), (5, 5, BLUE)), 0.1 * number)
    client.post("/v1/rename", {"label": "red", "new_label": "rot"}, token="manage")
    answers = [_show(client, scene((1, 1, RED), (5, 5, BLUE)), 3 + 0.1 * number) for number in range(15)]
    assert answers[-1]["basket"] == {"rot": 1}


def test_stream_survives_an_engine_that_fails(serve: Serve) -> None:
    serving = serve()
    for number in range(10):
        _show(serving.client, EMPTY, 0.1 * number)
    opened = serving.service._opened
    assert opened is not None
    failing(opened.engines.first, 1)
    once = [_show(serving.client, ONE, 1 + 0.1 * number) for number in range(25)]
    assert {str(one["retried"]) for one in once} == {"None"}  # the same engine, asked again
    assert (once[-1]["basket"], once[-1]["counts"]["fed"]) == ({"red": 1}, 36)
    failing(opened.engines.first, 1000)
    later = [_show(serving.client, TWO, 4 + 0.1 * number) for number in range(25)]
    assert sum(one["retried"] is not None for one in later) == 1  # then it stays with the other one
    assert later[-1]["basket"] == {"red": 1, "grün": 1}
