"""Server-sent events: format, numbers, replay, heartbeats, slow readers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from shitu_edge.serve import events
from shitu_edge.serve.events import KEPT, MOST_WAITING, Events, Reader


def nothing() -> None:
    """A connection that may stay open."""


async def _told(reader: Reader) -> list[tuple[str, str, Any]]:
    """Return what a reader was given until it ended: ids, kinds and records."""
    reader.end()
    found = []
    async for content in reader.contents():
        lines = dict(line.split(": ", 1) for line in content.decode().strip().splitlines())
        assert content.endswith(b"\n\n")
        if "event" in lines:
            found.append((lines["id"], lines["event"], json.loads(lines["data"])))
    return found


def _run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_reader_gets_the_state_and_what_happens_then() -> None:
    async def test() -> None:
        log = Events()
        log.publish("named", {"label": "before"})
        reader = log.read(None, {"basket": {"red": 1}}, nothing)
        log.publish("left", {"label": "wörter\nin zwei Zeilen"})
        told = await _told(reader)
        assert [(kind, record) for _, kind, record in told] == [
            ("state", {"schema_version": 1, "basket": {"red": 1}}),
            ("left", {"schema_version": 1, "label": "wörter\nin zwei Zeilen"}),
        ]
        assert [number.partition("-")[2] for number, _, _ in told] == ["1", "2"]

    _run(test)


def test_reader_that_comes_back_gets_what_it_missed() -> None:
    async def test() -> None:
        log = Events()
        first = log.read(None, {}, nothing)
        log.publish("named", {"n": 1})
        [*_, (last_id, _, _)] = await _told(first)
        log.leave(first)
        for number in (2, 3):
            log.publish("named", {"n": number})
        told = await _told(log.read(last_id, {}, nothing))
        assert [record["n"] for _, _, record in told] == [2, 3]
        assert [kind for _, kind, _ in await _told(log.read(told[-1][0], {}, nothing))] == []

    _run(test)


@pytest.mark.parametrize(
    "last_id", ["", "x", "0-0", "ffffffff-1", "{origin}-", "{origin}-99", "{origin}--1", "{origin}-" + "9" * 5000]
)
def test_unknown_id_gets_the_state(last_id: str) -> None:
    async def test() -> None:
        log = Events()
        log.publish("named", {})
        told = await _told(log.read(last_id.format(origin=log._origin), {"now": True}, nothing))
        assert [kind for _, kind, _ in told] == ["state"]

    _run(test)


def test_id_of_an_event_that_is_not_kept_gets_the_state() -> None:
    async def test() -> None:
        log = Events()
        for number in range(KEPT + 2):
            log.publish("named", {"n": number})
        assert len(log._kept) == KEPT
        told = await _told(log.read(f"{log._origin}-1", {}, nothing))
        assert [kind for _, kind, _ in told] == ["state"]

    _run(test)


def test_slow_reader_is_cut_and_others_are_not() -> None:
    async def test() -> None:
        cut, log = [], Events()
        log.read(None, {}, lambda: cut.append("slow"))
        quick = log.read(None, {}, lambda: cut.append("quick"))
        contents, seen = quick.contents(), 0
        assert await contents.__anext__() == b"retry: 1000\n\n"
        for number in range(MOST_WAITING + 5):
            log.publish("named", {"n": number})
            await contents.__anext__()
            seen += 1
        assert (cut, len(log), seen) == (["slow"], 1, MOST_WAITING + 5)

    _run(test)


def test_quiet_reader_gets_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.001)

    async def test() -> None:
        contents = Events().read(None, {}, nothing).contents()
        first = [await contents.__anext__() for _ in range(4)]
        assert first[2:] == [b": heartbeat\n\n"] * 2

    _run(test)
