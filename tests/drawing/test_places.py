"""Places of labels, against a plain check of what they may cover."""

from __future__ import annotations

import random

import pytest

from shitu_edge.drawing.places import Corners, corner_place, free_place, leader

LIMITS = (400, 300)
BOX = (100, 100, 180, 220)


def overlap(one: Corners, other: Corners) -> bool:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return across > 0 and down > 0


def is_inside(place: Corners) -> bool:
    return min(place) >= 0 and place[2] < LIMITS[0] and place[3] < LIMITS[1]


def test_places_are_inside_and_cover_nothing() -> None:
    chance, found = random.Random(1), 0
    for _ in range(500):
        boxes = [any_box(chance) for _ in range(chance.randrange(1, 12))]
        taken = boxes[1:]
        size = chance.randrange(10, 120), chance.randrange(8, 24)
        place = free_place(boxes[0], size, LIMITS, taken)
        if place is None:
            continue
        found += 1
        assert is_inside(place)
        assert (place[2] - place[0], place[3] - place[1]) == size
        assert not any(overlap(place, other) for other in taken)
        line = leader(boxes[0], place)
        assert (line is None) == touch(boxes[0], place)
        if line is not None:
            assert is_on_edge(boxes[0], line[:2])
            assert is_on_edge(place, line[2:])
    assert found > 300


def any_box(chance: random.Random) -> Corners:
    left, top = chance.randrange(0, 360), chance.randrange(0, 270)
    return left, top, left + chance.randrange(8, LIMITS[0] - left), top + chance.randrange(8, LIMITS[1] - top)


def touch(one: Corners, other: Corners) -> bool:
    return max(one[0], other[0]) <= min(one[2], other[2]) and max(one[1], other[1]) <= min(one[3], other[3])


def is_on_edge(box: Corners, point: tuple[int, ...]) -> bool:
    x, y = point
    return box[0] <= x <= box[2] and box[1] <= y <= box[3] and (x in (box[0], box[2]) or y in (box[1], box[3]))


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ([], (100, 85)),
        ([(0, 0, 400, 100)], (100, 220)),
        ([(0, 0, 400, 100), (0, 220, 400, 300)], (180, 100)),
        ([(0, 0, 400, 100), (0, 220, 400, 300), (180, 0, 400, 300)], (60, 100)),
        ([(0, 0, 400, 100), (0, 220, 400, 300), (180, 0, 400, 300), (0, 0, 100, 300)], (100, 100)),
        ([(80, 80, 200, 240)], (100, 55)),
    ],
    ids=["above", "below", "right", "left", "in its edge", "apart"],
)
def test_nearest_place_is_taken(taken: list[Corners], expected: tuple[int, int]) -> None:
    place = free_place(BOX, (40, 15), LIMITS, taken)
    assert place is not None
    assert place[:2] == expected


def test_label_that_is_large_for_its_box_is_not_in_it() -> None:
    around = [(0, 0, 400, 100), (0, 220, 400, 300), (180, 0, 400, 300), (0, 0, 100, 300)]
    assert free_place(BOX, (80, 40), LIMITS, around) is None
    assert free_place(BOX, (500, 15), LIMITS, []) is None


def test_numbers_are_in_a_corner_whatever_is_there() -> None:
    assert corner_place(BOX, (12, 15), LIMITS, []) == (100, 100, 112, 115)
    assert corner_place(BOX, (12, 15), LIMITS, [(90, 90, 110, 110)]) == (168, 100, 180, 115)
    assert corner_place(BOX, (12, 15), LIMITS, [BOX]) == (100, 100, 112, 115)
    assert is_inside(corner_place((395, 295, 400, 300), (12, 15), LIMITS, []))
