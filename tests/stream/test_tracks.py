"""Boxes and cells without networks: a gray counter of 40 × 60 cells, 16 pixels each."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge.stream.sight import Found
from shitu_edge.stream.tracks import Followed, Tracks

ROWS, COLUMNS, SIDE = 40, 60, 16
SIZE = ROWS * SIDE, COLUMNS * SIDE
RED, SKIN = (200, 20, 20), (220, 170, 140)
Cells = NDArray[np.float32]
Box = tuple[int, int, int, int]


def picture(*patches: tuple[Box, tuple[int, int, int]]) -> Cells:
    """Return cells with patches `(x1, y1, x2, y2)` of colors, in cells."""
    cells = np.full((ROWS, COLUMNS, 3), 120, np.float32)
    for (x1, y1, x2, y2), color in patches:
        cells[y1:y2, x1:x2] = color
    return cells


def found(*boxes: Box) -> Found:
    rows = SIDE * np.array(boxes, np.float32).reshape(-1, 4)
    return Found(rows, np.full(len(boxes), 0.9, np.float32), ())


class Counter:
    def __init__(self) -> None:
        self.tracks = Tracks(picture(), SIZE, most=8)
        self.show(picture(), found(), times=8)

    def show(self, cells: Cells, seen: Found, times: int = 1) -> None:
        for _ in range(times):
            self.tracks.see(cells, 0.1)
            self.tracks.locate(seen, 0.0, suppression_iou=0.2)
            self.tracks.learn(0.1)

    def put(self, box: Box) -> Followed:
        """Let a red thing come to rest, appear and be looked at."""
        self.show(picture((box, RED)), found(box), times=3)
        one = self.tracks.all[-1]
        one.number = len(self.tracks.all)
        self.tracks.looked_at(one)
        return one


@pytest.fixture
def counter() -> Counter:
    return Counter()


PLACE = (20, 10, 30, 25)


def test_locate_follows_a_box_that_jitters(counter: Counter) -> None:
    one = counter.put(PLACE)
    seen = found(PLACE)
    rng = np.random.default_rng(0)
    for _ in range(20):
        jittered = Found(seen.boxes_xyxy + rng.normal(0, 4, 4).astype(np.float32), seen.scores, ())
        counter.show(picture((PLACE, RED)), jittered)
    assert counter.tracks.all == [one]
    assert np.abs(one.box_xyxy - SIDE * np.array(PLACE)).max() < 8


def test_locate_keeps_a_thing_that_the_detector_misses(counter: Counter) -> None:
    one = counter.put(PLACE)
    counter.show(picture((PLACE, RED)), found(), times=50)
    assert (one.sighting, one.lost) == ("seen", 50)
    assert not counter.tracks.gone(one, 0.5, 30)


def test_locate_returns_to_the_box_of_a_thing_after_a_hand_has_stretched_it(counter: Counter) -> None:
    one = counter.put(PLACE)
    arm = ((24, 14, 28, 40), SKIN)
    counter.show(picture((PLACE, RED), arm), found((20, 11, 30, 26)))
    counter.show(picture((PLACE, RED), ((23, 16, 27, 40), SKIN)), found((20, 13, 30, 28)))
    counter.show(picture((PLACE, RED)), found(PLACE), times=2)
    assert counter.tracks.all == [one]
    assert one.box_xyxy.tolist() == pytest.approx((SIDE * np.array(PLACE)).tolist(), abs=1)


def test_locate_forgets_what_never_came_to_rest(counter: Counter) -> None:
    counter.show(picture(((5, 5, 10, 10), SKIN)), found((5, 5, 10, 10)))
    counter.show(picture(), found(), times=2)
    assert counter.tracks.all == []


def test_locate_gives_back_doubles_and_counts_what_is_too_much(counter: Counter) -> None:
    counter.put(PLACE)
    doubles = counter.tracks.locate(found(PLACE, (20, 10, 30, 15), (40, 10, 45, 15)), 0.0, suppression_iou=0.2)
    assert [(box / SIDE).tolist() for box, _ in doubles] == [[20, 10, 30, 15]]
    places = [(x, 0, x + 3, 3) for x in range(0, 60, 5)]
    counter.tracks.locate(found(*places), 0.0, suppression_iou=0.2)
    assert (len(counter.tracks.all), counter.tracks.crowded) == (8, 6)


def test_gone_after_its_place_was_seen_bare_for_long_enough(counter: Counter) -> None:
    one = counter.put(PLACE)
    gone = []
    for _ in range(8):
        counter.show(picture(), found())
        gone.append(counter.tracks.gone(one, 0.5, 30))
    assert one.sighting == "empty"
    assert gone == [False] * 6 + [True] * 2


def test_gone_behind_a_hand_only_after_hidden_s(counter: Counter) -> None:
    one = counter.put(PLACE)
    covered = picture(((18, 8, 32, 40), SKIN))
    counter.show(covered, found(), times=20)
    assert one.sighting == "covered"
    assert not counter.tracks.gone(one, 0.5, 30)
    assert counter.tracks.gone(one, 0.5, 1)


def test_is_reached_by_an_arm_and_not_by_a_shadow(counter: Counter) -> None:
    one = counter.put(PLACE)
    counter.show(picture((PLACE, RED), ((24, 25, 28, 40), SKIN)), found(PLACE))
    assert counter.tracks.is_reached(one)
    counter.show(picture((PLACE, RED), ((20, 25, 30, 40), (80, 80, 80))), found(PLACE))
    assert not counter.tracks.is_reached(one)
    counter.show(picture((PLACE, RED), ((24, 25, 28, 35), SKIN)), found(PLACE))
    assert not counter.tracks.is_reached(one)


def test_exchange_leaves_names_where_they_are(counter: Counter) -> None:
    one, other = counter.put(PLACE), counter.put((40, 10, 50, 25))
    one.label, other.label = "red", "green"
    before = one.box_xyxy.tolist(), other.box_xyxy.tolist()
    counter.tracks.exchange(one, other)
    assert (other.box_xyxy.tolist(), one.box_xyxy.tolist()) == before
    assert (one.label, other.label) == ("red", "green")


def test_resized_scales_boxes_and_asks_for_looks(counter: Counter) -> None:
    one = counter.put(PLACE)
    resized = counter.tracks.resized(picture(), (SIZE[0] // 2, SIZE[1] * 2))
    assert one.box_xyxy.tolist() == pytest.approx([640, 80, 960, 200], abs=1)
    assert resized.all == [one]
    assert not resized.as_before(one)
