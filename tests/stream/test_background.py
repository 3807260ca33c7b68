from __future__ import annotations

import numpy as np

from shitu_edge.stream.background import Background
from shitu_edge.stream.cells import Motion, Place

ROWS, COLUMNS = 20, 30
PLACE = Place(slice(5, 15), slice(5, 15))


def test_background_knows_what_was_bare_and_still() -> None:
    cells = np.full((ROWS, COLUMNS, 3), 100, np.float32)
    background, motion = Background(cells), Motion(cells)
    still = np.zeros((ROWS, COLUMNS), bool)
    for number in range(5):
        assert background.bare(motion, PLACE) is None, number
        background.learn(cells, still, [])
    assert background.bare(motion, PLACE) == 1
    covered = cells.copy()
    covered[5:15, 5:15] = (200, 20, 20)
    motion.see(covered)
    assert background.bare(motion, PLACE) == 0


def test_background_does_not_learn_things_or_motion() -> None:
    cells = np.full((ROWS, COLUMNS, 3), 100, np.float32)
    background, motion = Background(cells), Motion(cells)
    moving = np.zeros((ROWS, COLUMNS), bool)
    moving[10:] = True
    for _ in range(20):
        background.learn(cells, moving, [Place(slice(0, 10), slice(0, COLUMNS))])
    assert background.bare(motion, PLACE) is None
