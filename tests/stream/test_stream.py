"""A stream over tiny networks: frames of colored squares on a white counter, with a sensor's noise."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shitu_edge import (
    NEGATIVE,
    ClosedError,
    Gallery,
    GalleryError,
    ImageError,
    OptionError,
    Recognizer,
    Stream,
    StreamAnswer,
    StreamEvent,
    StreamOptions,
    View,
)
from tests.bundle.files import npy
from tests.bundle.test_objectness import constant, with_objectness
from tests.test_recognizer import BLUE, GREEN, RED, product

from .counter import BLUE_THING, GREEN_THING, RED_THING, Camera, Thing


class Till:
    """A camera before a stream, and all that it has said."""

    def __init__(self, stream: Stream, camera: Camera | None = None) -> None:
        self.stream = stream
        self.camera = camera or Camera()
        self.events: list[StreamEvent] = []

    def show(self, frames: int, *things: Thing, hand: tuple[int, int, int, int] | None = None) -> list[str]:
        """Show things for some frames; return what happened, as `kind label`."""
        before = len(self.events)
        for _ in range(frames):
            self.feed(self.camera.frame(*things, hand=hand), self.camera.at_s)
        return [f"{event.kind} {event.label}" for event in self.events[before:]]

    def feed(self, image: NDArray[np.uint8], at_s: float) -> StreamAnswer:
        self.last = self.stream.feed(image, at_s)
        self.events += self.last.events
        return self.last


@pytest.fixture
def till(recognizer: Recognizer) -> Till:
    opened = Till(recognizer.stream())
    opened.show(8)
    return opened


def test_feed_names_a_thing_once(till: Till) -> None:
    assert till.show(8, RED_THING) == ["appeared None", "named red"]
    assert till.show(30, RED_THING) == []
    assert till.stream.basket == {"red": 1}
    [track] = till.stream.tracks
    assert (track.track_id, track.state, track.decision, track.looks) == (1, "resting", "accepted", 3)
    assert track.box_xyxy == pytest.approx((16, 16, 80, 80), abs=2)
    assert track.candidates[0].label == "red"
    assert till.last.settled


def test_feed_names_at_the_third_frame_of_rest(till: Till) -> None:
    till.show(6, RED_THING)
    assert [(event.kind, event.frame) for event in till.events] == [("appeared", 9), ("named", 11)]


def test_feed_tells_when_things_leave(till: Till) -> None:
    till.show(8, RED_THING, GREEN_THING)
    assert till.show(10, GREEN_THING) == ["left red"]
    assert till.events[-1].basket == {"green": 1}
    assert till.show(10) == ["left green", "empty None"]
    assert (till.stream.basket, till.stream.tracks) == ({}, ())


def test_feed_counts_two_equal_things(till: Till) -> None:
    till.show(8, RED_THING, (4, 1, RED))
    assert till.stream.basket == {"red": 2}
    till.show(10, (4, 1, RED))
    assert till.stream.basket == {"red": 1}


def test_feed_asks_about_what_it_cannot_tell(till: Till) -> None:
    """Blue resembles both, and is not enrolled."""
    assert till.show(8, BLUE_THING) == ["appeared None"]
    assert till.stream.tracks[0].decision is None
    [unsure] = till.show(8, BLUE_THING)
    assert unsure.startswith("unsure")
    assert till.events[-1].track is not None
    assert till.events[-1].track.decision in ("ambiguous", "unknown")
    assert till.stream.basket == {}
    assert till.show(30, BLUE_THING) == []


def test_feed_looks_rarely_at_a_resting_counter(till: Till) -> None:
    till.show(12, RED_THING, GREEN_THING)
    before = till.stream.counts
    till.show(50, RED_THING, GREEN_THING)
    after = till.stream.counts
    assert after.detected - before.detected == 5
    assert after.embedded == before.embedded
    assert after.unchanged - before.unchanged == 45


def test_feed_embeds_only_what_is_new(till: Till) -> None:
    till.show(12, RED_THING)
    before = till.stream.counts.embedded
    till.show(12, RED_THING, GREEN_THING)
    assert till.stream.counts.embedded - before == 3


def test_feed_keeps_a_thing_that_a_hand_hides(till: Till) -> None:
    till.show(10, RED_THING)
    assert till.show(15, hand=(0, 0, 4, 4)) == []
    assert (till.stream.basket, till.stream.tracks[0].state) == ({"red": 1}, "hidden")
    assert not till.last.settled
    assert till.show(10, RED_THING) == []
    assert till.stream.tracks[0].state == "resting"


def test_feed_lets_a_thing_go_that_a_hand_took(till: Till) -> None:
    till.show(10, RED_THING)
    till.show(5, hand=(0, 0, 4, 4))
    assert till.show(20) == ["left red", "empty None"]


def test_feed_lets_a_hidden_thing_go_in_the_end(recognizer: Recognizer) -> None:
    till = Till(recognizer.stream(StreamOptions(hidden_s=2)))
    till.show(8)
    till.show(10, RED_THING)
    assert "left red" in till.show(30, hand=(0, 0, 4, 4))


def test_feed_says_changed_when_a_thing_was_swapped(till: Till) -> None:
    till.show(10, RED_THING)
    till.show(3, hand=(0, 0, 4, 4))
    assert till.show(10, (1, 1, GREEN)) == ["changed green"]
    assert (till.events[-1].was, till.stream.basket) == ("red", {"green": 1})


def test_feed_follows_a_moved_thing(till: Till) -> None:
    till.show(10, RED_THING, GREEN_THING)
    number = next(track.track_id for track in till.stream.tracks if track.label == "red")
    assert till.show(20, (1, 5, RED), GREEN_THING) == []
    moved = next(track for track in till.stream.tracks if track.track_id == number)
    assert moved.box_xyxy == pytest.approx((16, 144, 80, 208), abs=2)
    assert till.stream.basket == {"red": 1, "green": 1}


def test_feed_follows_things_that_change_places(till: Till) -> None:
    till.show(10, RED_THING, GREEN_THING)
    boxes = {track.label: track.box_xyxy for track in till.stream.tracks}
    till.show(3, hand=(0, 0, 8, 8))
    assert till.show(15, (1, 1, GREEN), (5, 5, RED)) == []
    assert till.stream.basket == {"red": 1, "green": 1}
    after = {track.label: track.box_xyxy for track in till.stream.tracks}
    assert after["red"] == pytest.approx(boxes["green"], abs=2)
    assert after["green"] == pytest.approx(boxes["red"], abs=2)


def test_feed_does_not_exchange_a_thing_for_one_that_a_hand_passes(till: Till) -> None:
    """Red is swapped for another green while a hand moves before the first green."""
    till.show(10, RED_THING, GREEN_THING)
    till.show(3, GREEN_THING, hand=(0, 0, 4, 4))
    for _ in range(6):
        till.show(1, (1, 1, GREEN), hand=(4, 4, 8, 8))
    till.show(20, (1, 1, GREEN), GREEN_THING)
    assert till.stream.basket == {"green": 2}


def test_feed_does_not_follow_what_only_moves(till: Till) -> None:
    for number in range(24):
        assert till.show(1, (number % 7, number // 7 + 1, RED)) == []
    assert till.stream.basket == {}


def test_feed_is_steady_under_noise_and_changing_light(recognizer: Recognizer) -> None:
    till = Till(recognizer.stream(), Camera(seed=5, sigma=10))
    till.show(8)
    till.show(12, RED_THING, GREEN_THING)
    named = len(till.events)
    for number in range(100):
        light = 1 - 0.2 * abs(np.sin(number / 15))
        till.feed((till.camera.frame(RED_THING, GREEN_THING) * light).astype(np.uint8), till.camera.at_s)
    assert till.events[named:] == []
    assert till.stream.basket == {"red": 1, "green": 1}


def test_feed_uses_the_view(recognizer: Recognizer) -> None:
    till = Till(recognizer.stream(view=View(region=(0, 0, 0.5, 0.5))))
    till.show(10, RED_THING, GREEN_THING)
    assert till.stream.basket == {"red": 1}
    looked = [answer for answer in [till.feed(till.camera.frame(RED_THING), till.camera.at_s)] if answer.look]
    assert looked
    assert till.show(12, RED_THING, GREEN_THING) == []


def test_feed_reports_boxes_that_it_does_not_follow(recognizer: Recognizer) -> None:
    till = Till(recognizer.stream(StreamOptions(max_tracks=1), view=View(ignore=[(0.5, 0.5, 1, 1)])))
    till.feed(till.camera.frame(RED_THING, BLUE_THING, GREEN_THING), 0.0)
    assert [box.reason for box in till.last.dropped] == ["ignored"]
    assert till.last.counts.crowded == 1


@pytest.mark.parametrize("stamps", [[5.0] * 40, [1000.0] * 4 + [3.0 + 0.1 * n for n in range(36)], list(range(40))])
def test_feed_bears_clocks_that_stand_still_jump_or_go_back(till: Till, stamps: Sequence[float]) -> None:
    for at_s in stamps[:20]:
        till.feed(till.camera.frame(RED_THING), at_s)
    for at_s in stamps[20:]:
        till.feed(till.camera.frame(), at_s)
    assert [event.kind for event in till.events] == ["appeared", "named", "left", "empty"]
    assert till.events[-1].at_s in stamps


def test_feed_takes_the_time_itself(recognizer: Recognizer) -> None:
    stream = recognizer.stream()
    first, second = stream.feed(Camera().frame()), stream.feed(Camera().frame())
    assert second.at_s >= first.at_s


@pytest.mark.parametrize("at_s", [float("nan"), float("inf"), "1", True])
def test_feed_refuses_a_stamp_that_is_not_a_number(till: Till, at_s: float) -> None:
    with pytest.raises(OptionError, match="at_s: expected a number"):
        till.stream.feed(till.camera.frame(), at_s)


def test_feed_bears_frames_of_changing_size(till: Till) -> None:
    till.show(10, RED_THING)
    till.show(10, RED_THING, GREEN_THING)
    before = len(till.events)
    for side in (128, 512, 300, 256) * 4:
        frame = np.asarray(Image.fromarray(till.camera.frame(RED_THING, GREEN_THING)).resize((side, side)))
        till.feed(frame, till.camera.at_s)
        assert (till.last.width, till.last.height) == (side, side)
        assert till.stream.basket == {"red": 1, "green": 1}
    assert till.events[before:] == []
    assert till.stream.tracks[0].box_xyxy == pytest.approx((16, 16, 80, 80), abs=4)


def test_feed_takes_encoded_frames(till: Till, tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    for _ in range(8):
        Image.fromarray(till.camera.frame(RED_THING)).save(path)
        till.stream.feed(path.read_bytes(), till.camera.at_s)
    assert till.stream.basket == {"red": 1}


def test_feed_counts_unreadable_frames_and_goes_on(till: Till) -> None:
    till.show(8, RED_THING)
    with pytest.raises(ImageError):
        till.stream.feed(b"\xff\xd8 not a JPEG", till.camera.at_s)
    assert till.stream.counts.unreadable == 1
    assert till.show(8, RED_THING) == []


def test_feed_keeps_the_basket_while_the_camera_is_black(till: Till) -> None:
    till.show(10, RED_THING)
    black = np.zeros((256, 256, 3), np.uint8)
    for number in range(30):
        answer = till.feed(black, till.camera.at_s + number / 10)
        assert (answer.look, answer.camera) == (None, "black")
    assert till.events[-1].kind == "camera"
    assert (till.stream.basket, till.stream.counts.unusable) == ({"red": 1}, 30)
    assert till.show(10, RED_THING) == ["camera None"]
    assert till.last.camera == "good"


def test_feed_says_that_the_camera_is_frozen(till: Till) -> None:
    frame = till.camera.frame(RED_THING)
    for number in range(40):
        till.feed(frame, till.camera.at_s + number / 10)
    assert [(event.kind, event.camera) for event in till.events if event.kind == "camera"] == [("camera", "frozen")]


def test_feed_says_changed_when_a_label_is_renamed(till: Till, shop: Path) -> None:
    till.show(10, RED_THING, GREEN_THING)
    with Gallery.open(shop) as gallery:
        gallery.rename("red", "crimson")
    assert till.show(2, RED_THING, GREEN_THING) == ["changed crimson"]
    assert (till.events[-1].was, till.stream.basket) == ("red", {"crimson": 1, "green": 1})


def test_feed_says_changed_when_a_label_is_removed(till: Till, recognizer: Recognizer) -> None:
    till.show(10, RED_THING)
    recognizer.gallery.remove(label="red")
    [event] = till.show(2, RED_THING)
    assert event.startswith("changed")
    assert "red" not in till.stream.basket


def test_feed_names_what_was_enrolled_meanwhile(recognizer: Recognizer) -> None:
    recognizer.gallery.remove(label="green")
    till = Till(recognizer.stream(StreamOptions(threshold=0.95)))
    assert till.show(20, BLUE_THING) == ["appeared None", "unsure None"]
    recognizer.enroll("blue", product(BLUE))
    assert till.show(2, BLUE_THING) == ["named blue"]


def test_feed_keeps_names_when_others_are_enrolled(till: Till, recognizer: Recognizer) -> None:
    till.show(10, RED_THING, GREEN_THING)
    recognizer.enroll("blue", product(BLUE))
    assert till.show(10, RED_THING, GREEN_THING) == []


def test_feed_ignores_what_is_enrolled_as_no_product(recognizer: Recognizer) -> None:
    recognizer.enroll(NEGATIVE, product(BLUE))
    till = Till(recognizer.stream())
    assert till.show(20, BLUE_THING) == []
    assert till.last.settled


def test_feed_looks_again_where_no_product_was(recognizer: Recognizer) -> None:
    recognizer.enroll(NEGATIVE, product(BLUE))
    till = Till(recognizer.stream())
    assert till.show(20, BLUE_THING) == []
    assert till.show(20, (5, 1, RED)) == ["appeared None", "named red"]


@pytest.fixture
def choosy(tiny_bundle: Path, shop: Path, tmp_path: Path) -> Iterator[Recognizer]:
    """Return a recognizer whose bundle takes nothing for a product."""
    with Recognizer.open(with_objectness(tiny_bundle, tmp_path / "choosy", npy(constant(-1))), shop) as opened:
        yield opened


def test_feed_leaves_alone_what_has_no_name_and_is_no_product(choosy: Recognizer) -> None:
    till = Till(choosy.stream(StreamOptions(threshold=0.95)))
    assert till.show(20, BLUE_THING, RED_THING) == ["appeared None", "named red"]
    assert till.last.settled
    assert till.stream.counts.embedded < 12
    assert till.show(20, (5, 1, GREEN), RED_THING) == ["appeared None", "named green"]


def test_feed_names_what_was_left_alone_once_it_is_enrolled(choosy: Recognizer) -> None:
    choosy.gallery.remove(label="red")
    till = Till(choosy.stream(StreamOptions(threshold=0.95)))
    assert till.show(20, RED_THING) == []
    choosy.enroll("red", product(RED))
    assert till.show(12, RED_THING) == ["appeared None", "named red"]


def test_feed_of_an_empty_gallery_is_unknown(recognizer: Recognizer) -> None:
    recognizer.gallery.remove(label="red")
    recognizer.gallery.remove(label="green")
    till = Till(recognizer.stream())
    assert till.show(20, RED_THING) == ["appeared None", "unsure None"]


def test_feed_delivers_events_after_an_error(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = till.stream._announcer.take

    def fail_once(*arguments: object) -> None:
        taken(*arguments)  # type: ignore[arg-type]
        monkeypatch.undo()
        raise GalleryError("the disk is gone")

    monkeypatch.setattr(till.stream._announcer, "take", fail_once)
    till.show(1, RED_THING)
    with pytest.raises(GalleryError):
        till.show(1, RED_THING)
    assert till.events == []
    till.show(6, RED_THING)
    assert [event.kind for event in till.events] == ["appeared", "named"]


def test_feed_after_close_is_refused(till: Till) -> None:
    with till.stream:
        pass
    with pytest.raises(ClosedError, match="the stream is closed"):
        till.show(1)


def test_feed_after_the_recognizer_is_closed_is_refused(till: Till, recognizer: Recognizer) -> None:
    recognizer.close()
    with pytest.raises(ClosedError, match="the recognizer is closed"):
        till.show(1)


def test_feed_from_several_threads(recognizer: Recognizer) -> None:
    stream, camera = recognizer.stream(), Camera()
    frames = [camera.frame(RED_THING) for _ in range(24)]
    answers: list[StreamAnswer] = []

    def feed(some: list[NDArray[np.uint8]]) -> None:
        answers.extend(stream.feed(frame) for frame in some)

    threads = [threading.Thread(target=feed, args=(frames[start::3],)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.frame for answer in answers) == list(range(24))
    assert [event.kind for answer in sorted(answers, key=lambda one: one.frame) for event in answer.events] == [
        "appeared",
        "named",
    ]


def test_stream_needs_a_gallery(tiny_bundle: Path) -> None:
    with Recognizer.open(tiny_bundle) as recognizer, pytest.raises(GalleryError, match="no gallery is open"):
        recognizer.stream()


def test_streams_of_one_recognizer_do_not_meet(recognizer: Recognizer) -> None:
    one, other = Till(recognizer.stream()), Till(recognizer.stream())
    one.show(10, RED_THING)
    other.show(10, GREEN_THING)
    assert (one.stream.basket, other.stream.basket) == ({"red": 1}, {"green": 1})


def test_answers_and_events_become_json(till: Till) -> None:
    till.show(8, RED_THING, BLUE_THING)
    answer = json.loads(json.dumps(till.last.as_dict()))
    assert (answer["basket"], answer["counts"]["fed"], len(answer["tracks"])) == ({"red": 1}, 16, 2)
    [event] = [json.loads(json.dumps(event.as_dict())) for event in till.events if event.kind == "named"]
    assert (event["kind"], event["track"]["label"], event["basket"]) == ("named", "red", {"red": 1})


def test_state_of_a_stream_does_not_grow(till: Till) -> None:
    """Things come and go for long; what a stream holds is that of a bare counter again."""
    for number in range(12):
        till.show(8, (number % 6, 1 + number % 5, RED if number % 2 else GREEN))
        till.show(12)
    assert (till.stream._tracks is not None and till.stream._tracks.all, till.stream._events) == ([], [])


@pytest.mark.parametrize(
    ("name", "value"),
    [("decide_s", -1), ("left_s", float("nan")), ("max_tracks", 0), ("max_false_accept", 2), ("hidden_s", "1")],
)
def test_options_are_checked(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=name):
        StreamOptions(**{name: value})  # type: ignore[arg-type]
