from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shitu_edge import ImageError, camera_frames, folder_frames
from shitu_edge.stream import camera_of
from shitu_edge.stream import frames as module
from shitu_edge.stream.frames import EveryFrame, NewestFrame

Pixels = NDArray[np.uint8]


def image(value: int) -> Pixels:
    return np.full((4, 4, 3), value, np.uint8)


def values(frames: EveryFrame | NewestFrame, count: int) -> list[tuple[int, float]]:
    found = []
    for _ in range(count):
        pixels, at_s = next(frames)
        assert isinstance(pixels, np.ndarray)
        found.append((int(pixels[0, 0, 0]), at_s))
    return found


class Tap:
    """A source that gives a frame when the test says so, and says when the reader comes back for the next one."""

    def __init__(self) -> None:
        self.frames: queue.SimpleQueue[Pixels | None] = queue.SimpleQueue()
        self.asked = threading.Semaphore(0)
        self.closed = False

    def __iter__(self) -> Iterator[Pixels]:
        try:
            while True:
                self.asked.release()
                frame = self.frames.get()
                if frame is None:
                    return
                yield frame
        finally:
            self.closed = True

    def give(self, *numbers: int) -> None:
        """Give frames, and wait until the reader has taken them."""
        for number in numbers:
            assert self.asked.acquire(timeout=10)
            self.frames.put(image(number))
        assert self.asked.acquire(timeout=10)
        self.asked.release()


def test_every_frame_in_turn_at_a_rate() -> None:
    frames = EveryFrame([image(1), (image(2), 7.5), image(3)], fps=4)
    assert values(frames, 3) == [(1, 0.0), (2, 7.5), (3, 7.75)]
    with pytest.raises(StopIteration):
        next(frames)


def test_newest_frame_leaves_out_what_came_before_and_counts_it() -> None:
    tap, late = Tap(), list[int]()
    frames = NewestFrame(tap, late.append)
    tap.give(1, 2, 3)
    assert values(frames, 1)[0][0] == 3
    tap.give(4)
    assert values(frames, 1)[0][0] == 4
    assert late == [2]
    frames_closed(tap, frames)


def frames_closed(tap: Tap, frames: NewestFrame) -> None:
    tap.frames.put(None)
    frames.close()
    assert not frames._thread.is_alive()
    assert tap.closed


def test_newest_frame_waits_for_a_slow_source() -> None:
    tap = Tap()
    frames = NewestFrame(tap, lambda _: None)
    taken: list[tuple[int, float]] = []
    waiting = threading.Thread(target=lambda: taken.extend(values(frames, 1)))
    waiting.start()
    tap.give(9)
    waiting.join(10)
    assert [value for value, _ in taken] == [9]
    frames_closed(tap, frames)


def test_newest_frame_hands_out_the_last_frame_then_ends() -> None:
    frames = NewestFrame([(image(1), 1.0), (image(2), 2.0)], lambda _: None)
    frames._thread.join(10)
    assert values(frames, 1) == [(2, 2.0)]
    with pytest.raises(StopIteration):
        next(frames)


def test_newest_frame_raises_what_the_source_raised_after_its_last_frame() -> None:
    def unplugged() -> Iterator[Pixels]:
        yield image(5)
        raise OSError("the camera is gone")

    frames = NewestFrame(unplugged(), lambda _: None)
    frames._thread.join(10)
    assert values(frames, 1)[0][0] == 5
    with pytest.raises(OSError, match="the camera is gone"):
        next(frames)
    with pytest.raises(StopIteration):
        next(frames)


def test_newest_frame_ends_its_thread_when_closed() -> None:
    def endless() -> Iterator[Pixels]:
        number = 0
        while True:
            number += 1
            yield image(number % 256)

    frames = NewestFrame(endless(), lambda _: None)
    next(frames)
    frames.close()
    assert not frames._thread.is_alive()
    with pytest.raises(StopIteration):
        next(frames)


def test_newest_frame_wakes_who_waits_when_closed() -> None:
    tap = Tap()
    frames = NewestFrame(tap, lambda _: None)
    ended = threading.Event()

    def take() -> None:
        with pytest.raises(StopIteration):
            next(frames)
        ended.set()

    waiting = threading.Thread(target=take)
    waiting.start()
    tap.frames.put(None)
    frames.close()
    assert ended.wait(10)
    waiting.join(10)


def test_folder_frames_in_order_of_names(tmp_path: Path) -> None:
    for name in ("b.png", "a.png"):
        Image.fromarray(image(1)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert list(folder_frames(tmp_path)) == [tmp_path / "a.png", tmp_path / "b.png"]


def test_folder_frames_of_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no images in this folder"):
        next(folder_frames(tmp_path))


class FakeCamera:
    """OpenCV with one camera that gives two frames, blue first in each pixel as OpenCV has it."""

    def __init__(self, opens: bool = True) -> None:
        self.opens, self.left, self.released = opens, 2, False
        self.asked: int | str | None = None

    def VideoCapture(self, camera: int | str) -> FakeCamera:
        self.asked = camera
        return self

    def isOpened(self) -> bool:
        return self.opens

    def read(self) -> tuple[bool, Pixels | None]:
        self.left -= 1
        return (True, np.full((2, 2, 3), (30, 20, 10), np.uint8)) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


def test_camera_frames_are_rgb_until_it_is_unplugged(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = FakeCamera()
    monkeypatch.setattr(module, "opencv", lambda: camera)
    frames = camera_frames(0)
    assert [next(frames)[0, 0].tolist() for _ in range(2)] == [[10, 20, 30]] * 2
    with pytest.raises(ImageError, match="camera 0: gives no more frames; was it unplugged"):
        next(frames)
    assert camera.released


def test_camera_frames_of_a_camera_that_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "opencv", lambda: FakeCamera(opens=False))
    with pytest.raises(ImageError, match="camera 3: cannot be opened"):
        next(camera_frames(3))


def test_camera_frames_without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "opencv", lambda: None)
    with pytest.raises(ImageError, match="needs OpenCV"):
        next(camera_frames(0))


def test_camera_by_its_address_whose_password_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = FakeCamera()
    monkeypatch.setattr(module, "opencv", lambda: camera)
    frames = camera_frames("rtsp://till:se@cret@10.0.0.7:554/main@1")
    with pytest.raises(ImageError) as caught:
        list(frames)
    assert camera.asked == "rtsp://till:se@cret@10.0.0.7:554/main@1"
    assert str(caught.value) == "camera rtsp://10.0.0.7:554/main@1: gives no more frames; was it unplugged?"


@pytest.mark.parametrize(
    ("source", "camera"),
    [("0", 0), ("12", 12), ("rtsp://host/a", "rtsp://host/a"), ("frames", None), ("20261130", None), ("", None)],
)
def test_camera_that_a_text_names(source: str, camera: int | str | None) -> None:
    assert camera_of(source) == camera
