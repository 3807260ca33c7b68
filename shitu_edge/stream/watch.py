"""A stream that takes its frames itself: an iterator of events."""

from __future__ import annotations

from collections import deque

from ..errors import ClosedError, ImageError
from ..results.stream import StreamEvent
from .frames import EveryFrame, FrameReader, Frames, NewestFrame
from .stream import Stream

_MOST_UNREADABLE = 25
"""Frames in a row that cannot be used, after which the source counts as failed."""


class Watch:
    """Iterates over the events of a source of frames until it ends. A context manager.

    Attributes:
        stream: that the frames are fed to; its `basket`, `tracks` and `counts` are up to date at any time.
    """

    def __init__(self, stream: Stream, frames: Frames, *, live: bool, fps: float) -> None:
        """Begin to read; most callers want `Recognizer.watch`."""
        self.stream = stream
        self._frames: FrameReader = NewestFrame(frames, stream.left_out) if live else EveryFrame(frames, fps)
        self._events: deque[StreamEvent] = deque()
        self._unreadable = 0

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> StreamEvent:
        """Return the next event, and take frames until there is one.

        Raises:
            ImageError: 25 frames in a row cannot be used; single ones are counted and left out.
            ClosedError, GalleryError, EngineError, EmbeddingError: as by `Stream.feed`. Errors of the source are raised
                as they are.
        """
        while not self._events:
            try:
                image, at_s = next(self._frames)
            except BaseException:
                self.close()
                raise
            try:
                self._events.extend(self.stream.feed(image, at_s).events)
                self._unreadable = 0
            except ImageError:
                self._unreadable += 1
                if self._unreadable >= _MOST_UNREADABLE:
                    self.close()
                    raise
            except ClosedError:
                self.close()
                raise
        return self._events.popleft()

    def close(self) -> None:
        """Take no further frames, and end the thread that reads them."""
        self.stream.close()
        self._frames.close()
