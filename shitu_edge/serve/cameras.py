"""Streams that the server feeds itself: a thread per camera, the newest frame first, tried again when unplugged."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from ..errors import ImageError, OptionError, ShituError
from ..stages.decode import Source
from ..stream.frames import NewestFrame, camera_frames, camera_of, folder_frames
from .admission import BusyError
from .streams import LiveStream

_log = logging.getLogger(__name__)

RETRY_S = 5.0
"""Seconds until a camera that gives no frames is opened again."""
_JOIN_S = 2.0

Feed = Callable[[LiveStream, Source, float], Any]


class Camera:
    """A camera, and the thread that feeds its stream."""

    def __init__(self, stream: LiveStream, source: str, feed: Feed) -> None:
        """Begin to read.

        Args:
            stream: the server's own.
            source: number or address of the camera, see `camera_frames`; or a folder, whose images are shown once.
            feed: a coroutine function that has a frame looked at, in the event loop that runs now.

        Raises:
            OptionError: the source is neither.
        """
        self._frames = frames_of(source)
        self._stream = stream
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._reader: NewestFrame | None = None
        self._thread = threading.Thread(target=self._run, name=f"shitu-edge-camera-{stream.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, in two seconds at most; call it outside of the event loop."""
        self._stopping.set()
        if self._reader is not None:
            self._reader.close()
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
                error = "the frames have ended"
            except (ShituError, OSError) as failure:
                error = str(failure)
            if self._stopping.is_set():
                return
            _log.error("camera %s: %s", self._stream.name, error)
            self._call(self._stream.failed, error)
            self._stopping.wait(RETRY_S)

    def _watch(self) -> None:
        """Feed frames until there are no more; raises what the source raises."""
        reader = self._reader = NewestFrame(self._frames(), self._stream.left_out)
        try:
            while not self._stopping.is_set():
                try:
                    image, at_s = next(reader)
                except StopIteration:
                    return
                self._show(image, at_s)
        finally:
            reader.close()

    def _show(self, image: Source, at_s: float) -> None:
        future = asyncio.run_coroutine_threadsafe(self._feed(self._stream, image, at_s), self._loop)
        try:
            future.result()
        except BusyError:
            self._stream.left_out(1)
            return
        except ImageError as error:  # a frame that was torn on the way
            _log.warning("camera %s: %s", self._stream.name, error)
            return
        self._call(self._stream.failed, None)

    def _call(self, act: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(act, *arguments)


def frames_of(source: str) -> Callable[[], Iterator[Source]]:
    """Return what opens a source of frames, again and again; raises `OptionError` if it is none."""
    camera = camera_of(source)
    if camera is not None:
        return lambda: camera_frames(camera)
    if os.path.isdir(source):
        return lambda: folder_frames(source)
    raise OptionError(
        f"watch: expected a camera's number or address (rtsp://...) or a folder of images, found {source!r}"
    )
