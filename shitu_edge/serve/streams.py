"""Streams of frames by name: a bounded number, one frame of each at a time, idle ones ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..recognizer import Recognizer
from ..results.stream import FrameCounts, StreamAnswer
from ..stages.decode import Source
from ..stream import Stream
from .admission import BusyError
from .answers import RefusedError
from .events import Events, Reader
from .metrics import Metrics

MOST_READERS = 16
"""Of one stream's events."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """A stream at a glance.

    Attributes:
        id: its name.
        owner: `caller`: frames are posted; `server`: it reads the camera itself.
        basket: number of things of each announced label.
        counts: what became of its frames until now.
        readers: connections that read its events.
        idle_s: seconds since the last frame or reader came.
        error: why its camera gives no frames; None if it does, or if callers feed it.
    """

    id: str
    owner: str
    basket: Mapping[str, int]
    counts: FrameCounts
    readers: int
    idle_s: float
    error: str | None


class LiveStream:
    """A stream and the readers of its events. Used from one event loop, but for `feed` and `left_out`."""

    def __init__(self, name: str, metrics: Metrics, *, owned: bool) -> None:
        self.name = name
        self.owned = owned
        """The server feeds it."""
        self.error: str | None = None
        self._metrics = metrics
        self._events = Events()
        self._stream: Stream | None = None
        self.maker: Recognizer | None = None
        """The recognizer that answers it."""
        self._busy = False
        self._seen_at = time.monotonic()
        self._last: StreamAnswer | None = None
        self._began_again = False

    @property
    def facts(self) -> StreamFacts:
        """The stream at a glance."""
        last = self._last
        basket, counts = ({}, FrameCounts()) if last is None else (last.basket, last.counts)
        owner, idle_s = "server" if self.owned else "caller", time.monotonic() - self._seen_at
        return StreamFacts(self.name, owner, basket, counts, len(self._events), idle_s, self.error)

    def is_idle(self, after_s: float) -> bool:
        """Return whether it may be ended: no frame for so long, and nobody reads."""
        if self.owned or self._busy or len(self._events):
            return False
        return time.monotonic() - self._seen_at > after_s

    def begin(self) -> None:
        """Claim it for one frame; raises `BusyError` while another one is looked at."""
        if self._busy:
            raise BusyError("streams", f"another frame of stream {self.name} is looked at", 10)
        self._busy, self._seen_at = True, time.monotonic()

    def end(self) -> None:
        """Give it free for the next frame."""
        self._busy = False

    def feed(self, recognizer: Recognizer, image: Source, at_s: float | None) -> StreamAnswer:
        """Return the answer to a frame, in a worker thread.

        With another recognizer than before, the stream begins again, with an empty basket.
        """
        if self._stream is None or self.maker is not recognizer:
            self._began_again = self._stream is not None
            self._stream, self.maker = recognizer.stream(), recognizer
        return self._stream.feed(image, at_s)

    def left_out(self, frames: int) -> None:
        """Count frames of a camera that were not looked at, as a newer one was there or the server was busy.

        From the camera's thread: it waits while a frame is looked at.
        """
        self._metrics.frames.labels("late").inc(frames)
        if self._stream is not None:
            self._stream.left_out(frames)

    def answered(self, answer: StreamAnswer) -> None:
        """Send the events of an answer to the readers, and count."""
        if self._began_again:
            self._began_again = False
            self._publish("restarted", {"basket": answer.basket})
        for event in answer.events:
            self._metrics.events.labels(event.kind).inc()
            self._publish(event.kind, event)
        self._last = answer
        outcome = "unchanged" if answer.look is None else "looked"
        self._metrics.frames.labels(outcome).inc()

    def failed(self, error: str | None) -> None:
        """Tell readers that the camera gives no frames, or does again."""
        if error != self.error:
            self.error = error
            self._publish("source", {"error": error})

    def read(self, last_id: str | None, cut: Callable[[], None]) -> Reader:
        """Return a reader of the events, see `Events.read`; raises `BusyError` if there are too many."""
        if len(self._events) >= MOST_READERS:
            raise BusyError("readers", f"{MOST_READERS} connections read stream {self.name} already", 1000)
        self._seen_at = time.monotonic()
        return self._events.read(last_id, self.facts, cut)

    def leave(self, reader: Reader) -> None:
        """Forget a reader."""
        self._seen_at = time.monotonic()
        self._events.leave(reader)

    def close(self) -> None:
        """End it and its readers."""
        if self._stream is not None:
            self._stream.close()
        self._events.close()

    def _publish(self, kind: str, record: Any) -> None:
        slow = self._events.publish(kind, record)
        if slow:
            self._metrics.slow_readers.inc(slow)


class Streams:
    """The streams of a server. Used from one event loop."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._streams: dict[str, LiveStream] = {}
        self._stopping = False

    def __len__(self) -> int:
        return len(self._streams)

    def all(self) -> list[LiveStream]:
        """Return the streams by name."""
        return [self._streams[name] for name in sorted(self._streams)]

    def own(self, name: str) -> LiveStream:
        """Return a new stream that the server feeds itself."""
        found = self._streams[name] = LiveStream(name, self._metrics, owned=True)
        return found

    def get(self, name: str) -> LiveStream:
        """Return a stream; raises `RefusedError` (404) if there is none of this name."""
        if name not in self._streams:
            raise RefusedError(404, "NotFoundError", f"there is no stream {name}")
        return self._streams[name]

    def open(self, name: str, most: int) -> LiveStream:
        """Return a stream, a new one if there is none of this name; raises `BusyError` if that would be too many."""
        if name not in self._streams:
            if self._stopping:
                raise BusyError("stopping", "the server is stopping", 1000)
            if sum(not one.owned for one in self._streams.values()) >= most:
                raise BusyError("streams", f"{most} streams are open already; end one, or wait for an idle one", 1000)
            self._streams[name] = LiveStream(name, self._metrics, owned=False)
        return self._streams[name]

    def end(self, name: str) -> StreamFacts:
        """End a stream of a caller; return what it was.

        Raises:
            RefusedError: 404 if there is none, 409 if the server feeds it.
        """
        found = self.get(name)
        if found.owned:
            raise RefusedError(409, "RequestError", f"the server feeds stream {name} itself")
        facts = found.facts
        found.close()
        del self._streams[name]
        return facts

    def end_idle(self, after_s: float) -> None:
        """End the streams that are idle for so long."""
        for one in self.all():
            if one.is_idle(after_s):
                self.end(one.name)

    def close(self) -> None:
        """End all streams and their readers."""
        self._stopping = True
        for one in self.all():
            one.close()
        self._streams.clear()
