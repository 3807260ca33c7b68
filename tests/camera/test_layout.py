"""Region, sizes, tiles and zones, from boxes that were laid out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge import View
from shitu_edge.camera.layout import (
    always_there,
    region_of,
    size_limits,
    sizes_of,
    supported,
    tiles_for,
    zone_around,
)
from shitu_edge.imaging.geometry import Boxes


def boxes(*rows: tuple[float, float, float, float]) -> Boxes:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_supported_needs_a_neighbor_in_another_frame() -> None:
    found = boxes((0.1, 0.1, 0.2, 0.2), (0.12, 0.12, 0.22, 0.22), (0.8, 0.8, 0.9, 0.9), (0.8, 0.8, 0.9, 0.9))
    assert supported(found, np.array([0, 1, 2, 2])).tolist() == [True, True, False, False]
    assert supported(found[2:], np.array([0, 1])).tolist() == [True, True]
    assert supported(boxes(), np.zeros(0, np.intp)).tolist() == []


def test_region_of_holds_all_boxes_and_some_room() -> None:
    assert region_of(boxes((0.3, 0.4, 0.4, 0.5), (0.6, 0.5, 0.7, 0.98))) == (0.25, 0.35, 0.75, 1.0)
    assert region_of(boxes((0.02, 0.02, 0.5, 0.5), (0.5, 0.5, 0.98, 0.98))) is None
    assert region_of(boxes()) is None


def test_sizes_are_those_of_the_view() -> None:
    """What the limits let through, the view keeps; what is beyond them, it drops."""
    view, found = View((0, 0, 0.5, 1)), boxes((0, 0, 0.1, 0.1), (0, 0, 0.1, 0.5))
    sizes = sizes_of(found, view, 720, 1280)
    np.testing.assert_allclose(sizes, [128 / 720, 360 / 720])
    limited = View(view.region, min_size=float(sizes[0]) + 0.01, max_size=float(sizes[1]) - 0.01)
    pixels = found * np.array([1280, 720, 1280, 720], np.float32)
    dropped = limited.drops(pixels, 720, 1280)
    assert {reason: where.tolist() for reason, where in dropped.items()} == {
        "too_small": [True, False],
        "too_large": [False, True],
    }


def test_size_limits_are_generous() -> None:
    limits = size_limits(np.linspace(0.1, 0.4, 50))
    assert limits == (0.053, 0.591)
    assert size_limits(np.linspace(0.1, 0.9, 50))[1] is None
    assert size_limits(np.full(19, 0.2)) == (None, None)


@pytest.mark.parametrize(("side", "tiles"), [(0.05, 6), (0.2, 6), (0.3, 1)])
def test_tiles_are_stated_where_objects_are_small(side: float, tiles: int) -> None:
    """Squares of a share of the height; in a region of half the height they are twice as large."""
    found = boxes(*[(0.5, 0.5, 0.5 + side * 720 / 1280, 0.5 + side)] * 5)
    assert tiles_for(found, View(), 720, 1280) == tiles
    assert tiles_for(found, View((0.3, 0.4, 0.9, 0.9)), 720, 1280) == (6 if side * 2 / 1.2 < 0.25 else 1)
    assert tiles_for(boxes(), View(), 720, 1280) == 1


def frames(changing: bool) -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    still = random.integers(0, 256, (180, 320, 3), np.uint8)
    return [random.integers(0, 256, (180, 320, 3), np.uint8) if changing else still for _ in range(10)]


@pytest.mark.parametrize("changing", [True, False])
def test_always_there_tells_a_screen_from_what_rests(changing: bool) -> None:
    """A box in nine of ten frames, and one in three."""
    found = boxes(*[(0.1, 0.1, 0.3, 0.4)] * 9, *[(0.6, 0.6, 0.8, 0.8)] * 3)
    numbers = np.array([*range(9), 0, 4, 8])
    screens, resting = always_there(found, numbers, frames(changing))
    kept, others = (screens, resting) if changing else (resting, screens)
    assert others == []
    assert [same.tolist() for same in kept] == [[True] * 9 + [False] * 3]


def test_always_there_is_nothing_in_few_frames() -> None:
    found, numbers = boxes(*[(0.1, 0.1, 0.3, 0.4)] * 4), np.arange(4)
    assert always_there(found, numbers, frames(True)[:4]) == ([], [])


def test_zone_around_holds_all_boxes() -> None:
    assert zone_around(boxes((0.1, 0.2, 0.3, 0.4), (0.12, 0.18, 0.31, 0.41))) == (0.1, 0.18, 0.31, 0.41)
