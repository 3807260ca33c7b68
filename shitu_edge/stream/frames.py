"""Frames from anywhere: any iterable in turn, or a live camera's newest; folders and cameras as iterables."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from ..imaging.opencv import opencv
from ..inputs.folders import images_in
from ..stages.decode import Source

Frames: TypeAlias = "Iterable[Source | tuple[Source, float]]"
"""Images, or pairs of an image and its time stamp in seconds. Each image has pixels of its own."""
StampedFrame: TypeAlias = "tuple[Source, float]"

_JOIN_S = 1.0
_DIGITS = 3
"""Of a camera's number, at most."""
_LOGIN = re.compile("//[^/]*@")
"""User and password in an address: no message repeats them."""


class FrameReader(Protocol):
    """Hands out frames with their time stamps; `StopIteration` when the source has ended."""

    def __next__(self) -> StampedFrame: ...

    def close(self) -> None:
        """Read no further."""


class EveryFrame:
    """Each frame of a source in turn; those without a time stamp follow each other at `fps` per second."""

    def __init__(self, frames: Frames, fps: float) -> None:
        self._frames = iter(frames)
        self._step_s = 1 / fps
        self._at_s = -self._step_s

    def __next__(self) -> StampedFrame:
        image, at_s = _stamped(next(self._frames))
        self._at_s = self._at_s + self._step_s if at_s is None else at_s
        return image, self._at_s

    def close(self) -> None:
        """Close the source, if it is a generator."""
        _close(self._frames)


class NewestFrame:
    """The newest frame of a live source, which a thread reads; those without a time stamp get that of their arrival.

    Frames are left out, not queued: who takes them late gets the newest, and `left_out` is told how many there were
    before it. An error of the source is raised after its last frame.
    """

    def __init__(self, frames: Frames, left_out: Callable[[int], None]) -> None:
        self._frames = iter(frames)
        self._left_out = left_out
        self._ready = threading.Condition()
        self._newest: StampedFrame | None = None
        self._overtaken = 0
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="shitu-edge-frames", daemon=True)
        self._thread.start()

    def __next__(self) -> StampedFrame:
        with self._ready:
            self._ready.wait_for(lambda: self._newest is not None or self._ended or self._closed)
            frame, self._newest = self._newest, None
            overtaken, self._overtaken = self._overtaken, 0
        if overtaken:
            self._left_out(overtaken)
        if frame is not None and not self._closed:
            return frame
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        raise StopIteration

    def close(self) -> None:
        """End the thread; one that waits for its source ends with the source's next frame."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    def _read(self) -> None:
        try:
            for frame in self._frames:
                image, at_s = _stamped(frame)
                with self._ready:
                    if self._closed:
                        break
                    self._overtaken += self._newest is not None
                    self._newest = image, time.monotonic() if at_s is None else at_s
                    self._ready.notify_all()
            _close(self._frames)
        except BaseException as error:  # handed over to who takes the frames
            self._error = error
        finally:
            with self._ready:
                self._ended = True
                self._ready.notify_all()


def folder_frames(path: str | os.PathLike[str]) -> Iterator[Source]:
    """Yield the paths of a folder's images, in order of their names; raises `ImageError` if there are none."""
    yield from images_in(path).images


def camera_of(source: str) -> int | str | None:
    """Return the camera that a text names, as `camera_frames` takes it; None if it names none."""
    if source.isdecimal() and len(source) <= _DIGITS:
        return int(source)
    return source if "://" in source else None


def camera_frames(camera: int | str) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames (H, W, 3) uint8 RGB of a camera.

    Args:
        camera: its number, from 0, as OpenCV counts them; or the address of its stream, such as `rtsp://HOST/PATH`.

    Raises:
        ImageError: OpenCV is missing, the camera cannot be opened, or gives no more frames.
    """
    cv2 = opencv()
    if cv2 is None:
        raise ImageError("a camera needs OpenCV; pip install opencv-python-headless")
    name = _LOGIN.sub("//", str(camera))
    opened = cast(Any, cv2).VideoCapture(camera)
    try:
        if not opened.isOpened():
            raise ImageError(f"camera {name}: cannot be opened; is it connected, and free?")
        while True:
            read, frame = opened.read()
            if not read:
                raise ImageError(f"camera {name}: gives no more frames; was it unplugged?")
            yield np.ascontiguousarray(frame[..., ::-1])
    finally:
        opened.release()


def _stamped(frame: Source | tuple[Source, float]) -> tuple[Source, float | None]:
    if isinstance(frame, tuple) and len(frame) == 2:
        return frame
    return frame, None


def _close(frames: Iterator[Any]) -> None:
    close = getattr(frames, "close", None)
    if close is not None:
        close()
