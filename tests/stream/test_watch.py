"""Sources of frames that end, fail, hurry or dawdle."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge import ClosedError, GalleryError, ImageError, OptionError, Recognizer, Source

from .counter import GREEN_THING, RED_THING, Camera

Pixels = NDArray[np.uint8]


def frames(camera: Camera) -> Iterator[Pixels]:
    """Red comes, green comes, red goes."""
    shown = [((), 8), ((RED_THING,), 8), ((RED_THING, GREEN_THING), 10), ((GREEN_THING,), 10)]
    for things, count in shown:
        for _ in range(count):
            yield camera.frame(*things)


STORY = ["appeared None", "named red", "appeared None", "named green", "left red"]


def told(watch: Iterator[object]) -> list[str]:
    return [f"{event.kind} {event.label}" for event in watch]  # type: ignore[attr-defined]


def test_watch_tells_the_story_of_a_generator(recognizer: Recognizer) -> None:
    with recognizer.watch(frames(Camera())) as watch:
        assert told(watch) == STORY
    assert watch.stream.basket == {"green": 1}
    assert (watch.stream.counts.fed, watch.stream.counts.late) == (36, 0)


def test_watch_takes_time_stamps(recognizer: Recognizer) -> None:
    camera = Camera()
    stamped = [(frame, 100.0 + number / 10) for number, frame in enumerate(frames(camera))]
    events = list(recognizer.watch(stamped))
    assert [event.at_s for event in events] == [100 + event.frame / 10 for event in events]


def test_watch_is_up_to_date_at_any_event(recognizer: Recognizer) -> None:
    watch = recognizer.watch(frames(Camera()))
    for event in watch:
        if event.kind == "named":
            assert watch.stream.basket[str(event.label)] == 1
            assert event.basket == watch.stream.basket


def test_watch_live_of_a_source_as_slow_as_the_stream(recognizer: Recognizer) -> None:
    """Each frame waits until the one before was answered, so none is late."""
    answered = threading.Semaphore(1)

    def paced() -> Iterator[Pixels]:
        for frame in frames(Camera()):
            assert answered.acquire(timeout=30)
            yield frame

    with recognizer.watch(paced(), live=True) as watch:
        feed = watch.stream.feed

        def fed(image: Source, at_s: float | None = None) -> object:
            answer = feed(image, at_s)
            answered.release()
            return answer

        watch.stream.feed = fed  # type: ignore[assignment, method-assign]
        events = [f"{event.kind} {event.label}" for event in watch]
    assert [event for event in events if "left" not in event] == STORY[:-1]
    assert watch.stream.counts.late == 0


def test_watch_live_of_a_hasty_source_counts_late_frames(recognizer: Recognizer) -> None:
    hasty = [Camera().frame(RED_THING)] * 500
    with recognizer.watch(hasty, live=True) as watch:
        list(watch)
    assert watch.stream.counts.fed + watch.stream.counts.late == 500
    assert watch.stream.counts.late > 0


def test_watch_counts_unreadable_frames_and_goes_on(recognizer: Recognizer) -> None:
    def flickering() -> Iterator[Source]:
        for frame in frames(Camera()):
            yield b"half a JPEG"
            yield frame

    with recognizer.watch(flickering()) as watch:
        assert told(watch)[:2] == STORY[:2]
    assert watch.stream.counts.unreadable == 36


def test_watch_gives_up_a_source_of_unreadable_frames(recognizer: Recognizer) -> None:
    watch = recognizer.watch(b"never a JPEG" for _ in range(10_000))
    with pytest.raises(ImageError):
        next(watch)
    assert watch.stream.counts.unreadable == 25


@pytest.mark.parametrize("live", [False, True])
def test_watch_raises_what_the_source_raises(recognizer: Recognizer, live: bool) -> None:
    def unplugged() -> Iterator[Pixels]:
        camera = Camera()
        yield from [camera.frame() for _ in range(3)]
        raise OSError("the camera is gone")

    with recognizer.watch(unplugged(), live=live) as watch, pytest.raises(OSError, match="the camera is gone"):
        list(watch)
    with pytest.raises(ClosedError):
        watch.stream.feed(Camera().frame())


@pytest.mark.parametrize("live", [False, True])
def test_watch_of_no_frames_ends(recognizer: Recognizer, live: bool) -> None:
    assert list(recognizer.watch([], live=live)) == []


@pytest.mark.parametrize("live", [False, True])
def test_watch_closes_its_source(recognizer: Recognizer, live: bool) -> None:
    closed = threading.Event()

    def source() -> Iterator[Pixels]:
        camera = Camera()
        try:
            while True:
                yield camera.frame(RED_THING)
        finally:
            closed.set()

    with recognizer.watch(source(), live=live) as watch:
        next(watch)
    assert closed.wait(10)
    assert not any(thread.name == "shitu-edge-frames" for thread in threading.enumerate())
    with pytest.raises((StopIteration, ClosedError)):
        next(watch)


@pytest.mark.parametrize("live", [False, True])
def test_watch_ends_when_the_recognizer_is_closed(recognizer: Recognizer, live: bool) -> None:
    def endless() -> Iterator[Pixels]:
        camera = Camera()
        while True:
            yield camera.frame(RED_THING)

    watch = recognizer.watch(endless(), live=live)
    next(watch)
    recognizer.close()
    with pytest.raises(ClosedError, match="the recognizer is closed"):
        list(watch)
    assert not any(thread.name == "shitu-edge-frames" for thread in threading.enumerate())


def test_watch_checks_its_arguments(recognizer: Recognizer) -> None:
    for name, value in (("fps", 0), ("live", 1), ("options", {}), ("view", 3)):
        with pytest.raises(OptionError, match=name):
            recognizer.watch([], **{name: value})  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="frames"):
        recognizer.watch(7)  # type: ignore[arg-type]


def test_watch_passes_errors_of_the_gallery_on(recognizer: Recognizer) -> None:
    watch = recognizer.watch(frames(Camera()))
    next(watch)
    recognizer.gallery.close()
    with pytest.raises(GalleryError):
        list(watch)
