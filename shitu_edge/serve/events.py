"""Server-sent events: numbered, replayed after a lost connection, never waiting for a slow reader."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from .answers import json_bytes

CONTENT_TYPE = "text/event-stream"
KEPT = 256
"""Events that are replayed to a reader who comes back."""
HEARTBEAT_S = 15.0
"""A comment is sent so often, so that both sides notice a lost connection."""
MOST_WAITING = 64
"""Events that may wait for a reader; one who falls behind further is dropped, and may come back."""

_RETRY = b"retry: 1000\n\n"
_HEARTBEAT = b": heartbeat\n\n"


@dataclass(frozen=True, slots=True)
class Sent:
    """An event as it goes over the wire, and its number."""

    number: int
    content: bytes


class Reader:
    """One connection that reads events."""

    def __init__(self, cut: Callable[[], None]) -> None:
        """Begin with nothing to send; `cut` closes the connection without waiting for the other side."""
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_WAITING + 1)
        self._cut = cut

    def give(self, content: bytes) -> bool:
        """Have it send an event; return False, and cut the connection, if too many wait already."""
        if self._waiting.qsize() >= MOST_WAITING:
            self._cut()
            return False
        self._waiting.put_nowait(content)
        return True

    def end(self) -> None:
        """Have it end after what waits."""
        self._waiting.put_nowait(None)

    async def contents(self) -> AsyncIterator[bytes]:
        """Yield what is to be sent, and heartbeats, until it ends."""
        yield _RETRY
        while True:
            try:
                content = await asyncio.wait_for(self._waiting.get(), HEARTBEAT_S)
            except asyncio.TimeoutError:
                content = _HEARTBEAT
            if content is None:
                return
            yield content


class Events:
    """The events of a stream, the last 256 of them kept, and their readers. Used from one event loop."""

    def __init__(self) -> None:
        self._origin = secrets.token_hex(4)
        """Tells ids of this stream from those of an earlier one of the same name."""
        self._last = 0
        self._kept: deque[Sent] = deque(maxlen=KEPT)
        self._readers: set[Reader] = set()

    def __len__(self) -> int:
        return len(self._readers)

    def publish(self, kind: str, record: Any) -> int:
        """Send an event to all readers; return how many were dropped as too slow."""
        self._last += 1
        sent = Sent(self._last, encoded(kind, record, f"{self._origin}-{self._last}"))
        self._kept.append(sent)
        slow = [reader for reader in self._readers if not reader.give(sent.content)]
        self._readers.difference_update(slow)
        return len(slow)

    def read(self, last_id: str | None, present: Any, cut: Callable[[], None]) -> Reader:
        """Return a new reader, see `Reader`.

        It begins with the events after `last_id`, if all of these are kept. Else, and without an id, it begins with an
        event `state` of what holds now: what was missed cannot be told one by one.
        """
        reader = Reader(cut)
        missed = self._after(last_id)
        if missed is None:
            reader.give(encoded("state", present, f"{self._origin}-{self._last}"))
        for sent in missed or ():
            reader.give(sent.content)
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """Forget a reader whose connection is closed."""
        self._readers.discard(reader)

    def close(self) -> None:
        """End all readers."""
        for reader in self._readers:
            reader.end()
        self._readers.clear()

    def _after(self, last_id: str | None) -> list[Sent] | None:
        """Return the events after an id; None if it is none of this stream's, or some of them are not kept."""
        origin, _, number = (last_id or "").partition("-")
        if origin != self._origin or not number.isdecimal() or len(number) > 18 or int(number) > self._last:
            return None
        missed = [sent for sent in self._kept if sent.number > int(number)]
        whole = len(missed) == self._last - int(number) and len(missed) < MOST_WAITING
        return missed if whole else None


def encoded(kind: str, record: Any, number: str) -> bytes:
    """Return an event as it goes over the wire; JSON has no line breaks."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (number.encode(), kind.encode(), json_bytes(record))
