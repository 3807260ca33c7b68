from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shitu_edge.stream.background import Background
from shitu_edge.stream.cells import Motion, Place

ROWS, COLUMNS = 20, 30
PLACE = Place(slice(5, 15), slice(5, 15))


NOTHING = np.zeros((ROWS, COLUMNS), bool)


def bare_counter() -> tuple[Background, Motion, NDArray[np.float32]]:
    """Return a background that has learned a gray counter."""
    cells = np.full((ROWS, COLUMNS, 3), 100, np.float32)
    background, motion = Background(cells), Motion(cells)
    for _ in range(4):
        assert not background.knows(PLACE)
        background.learn(motion, cells, [], 0.125)
    assert background.knows(PLACE)
    return background, motion, cells


def with_thing(cells: NDArray[np.float32], rows: slice, columns: slice) -> NDArray[np.float32]:
    image: NDArray[np.float32] = cells.copy()
    image[rows, columns] = (200, 20, 20)
    return image


def test_has_left_when_the_counter_shows_where_the_thing_was() -> None:
    background, motion, cells = bare_counter()
    thing = with_thing(cells, PLACE.rows, PLACE.columns)
    motion.see(thing)
    assert not background.has_left(motion, PLACE, thing, NOTHING)
    motion.see(cells)
    assert background.has_left(motion, PLACE, thing, NOTHING)
    motion.see(cells * np.float32(0.85))
    assert background.has_left(motion, PLACE, thing, NOTHING)


def test_has_left_when_a_narrow_thing_stands_in_its_place() -> None:
    background, motion, cells = bare_counter()
    thing = with_thing(cells, PLACE.rows, PLACE.columns)
    motion.see(with_thing(cells, slice(5, 15), slice(8, 12)))
    covered = NOTHING.copy()
    covered[5:15, 8:12] = True
    assert background.has_left(motion, PLACE, thing, covered)


def test_has_not_left_behind_what_covers_all_that_was_seen_of_it() -> None:
    background, motion, cells = bare_counter()
    narrow = with_thing(cells, slice(5, 15), slice(8, 12))
    covered = NOTHING.copy()
    covered[3:17, 7:13] = True
    motion.see(with_thing(cells, slice(3, 17), slice(7, 13)))
    assert not background.has_left(motion, PLACE, narrow, covered)


def test_background_does_not_learn_things_or_motion() -> None:
    cells = np.full((ROWS, COLUMNS, 3), 100, np.float32)
    background, motion = Background(cells), Motion(cells)
    motion.moving[10:] = True
    for _ in range(20):
        background.learn(motion, cells, [Place(slice(0, 10), slice(0, COLUMNS))], 0.125)
    assert not background.knows(PLACE)


def test_background_is_not_what_rests_there_for_seconds() -> None:
    background, motion, cells = bare_counter()
    hand = with_thing(cells, PLACE.rows, PLACE.columns)
    motion.see(hand)
    motion.moving[:] = False
    for seconds in range(9):
        background.learn(motion, hand, [], 1.0)
        assert background.foreign(motion)[PLACE.rows, PLACE.columns].all(), seconds
    background.learn(motion, hand, [], 1.0)
    assert not background.foreign(motion).any()


def test_foreign_is_what_does_not_look_like_the_counter() -> None:
    background, motion, cells = bare_counter()
    image = with_thing(cells, PLACE.rows, PLACE.columns)
    image[:5] *= np.float32(0.6)  # a shadow
    motion.see(image)
    foreign = background.foreign(motion)
    assert foreign[PLACE.rows, PLACE.columns].all()
    assert foreign.sum() == 100
