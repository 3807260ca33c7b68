"""Moved cameras: scenes of known shifts, covered and changed, with products and in other light."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge import EmptyCounter
from shitu_edge.stages.moved import find_move

Pixels = NDArray[np.uint8]


def room(seed: int) -> Pixels:
    """Return a scene larger than a frame, with structure all over it."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (60, 90, 3), np.uint8).repeat(16, axis=0).repeat(16, axis=1)


def frame(seed: int, right: int = 0, down: int = 0) -> Pixels:
    """Return what a camera of 1280 × 720 sees of a room, which appears shifted."""
    return np.ascontiguousarray(room(seed)[100 - down : 820 - down, 80 - right : 1360 - right])


EMPTY = EmptyCounter.of(frame(0))


def crowded(pixels: Pixels, share: float) -> Pixels:
    """Put plain products over a share of an image."""
    chosen = np.random.default_rng(9).random((9, 16)) < share
    pixels = pixels.copy()
    for row, column in np.argwhere(chosen):
        pixels[row * 80 : row * 80 + 80, column * 80 : column * 80 + 80] = (40, 160, 90)
    return pixels


def test_find_move_stays_in_place_with_products_and_in_other_light() -> None:
    noise = np.random.default_rng(3).normal(0, 8, (720, 1280, 3))
    light = np.linspace(0.3, 0.9, 1280)[:, None]
    image = np.asarray(np.clip(crowded(frame(0), 0.3) * light + noise, 0, 255), np.uint8)
    found = find_move(EMPTY, image)
    assert found.state == "in_place"
    assert found.shift_xy == (0, 0)
    assert 0.5 <= found.agreement < 0.85
    assert find_move(EMPTY, frame(0)).agreement == 1


@pytest.mark.parametrize("shift", [(64, 0), (-40, 72), (0, -36), (80, -80)])
def test_find_move_says_how_far(shift: tuple[int, int]) -> None:
    found = find_move(EMPTY, crowded(frame(0, *shift), 0.2))
    assert found.state == "moved"
    assert found.shift_xy == pytest.approx((shift[0] / 1280, shift[1] / 720), abs=0.008)


def test_find_move_forgives_a_small_shake() -> None:
    found = find_move(EMPTY, frame(0, 12, -8))
    assert found.state == "in_place"
    assert found.shift_xy == pytest.approx((12 / 1280, -8 / 720), abs=0.008)


@pytest.mark.parametrize("level", [0, 120, 255])
def test_find_move_sees_that_the_lens_is_covered(level: int) -> None:
    found = find_move(EMPTY, np.full((720, 1280, 3), level, np.uint8))
    assert found.state == "covered"
    assert found.agreement == 0


def test_find_move_sees_another_scene() -> None:
    found = find_move(EMPTY, frame(1))
    assert found.state == "other_scene"
    assert found.agreement < 0.2


@pytest.mark.parametrize(
    ("empty", "image"),
    [(frame(0), crowded(frame(0), 0.7)), (np.full((720, 1280, 3), 90, np.uint8), frame(0))],
    ids=["much lies there", "a plain counter"],
)
def test_find_move_does_not_guess(empty: Any, image: Any) -> None:
    assert find_move(EmptyCounter.of(empty), image).state == "unclear"


def test_find_move_takes_images_of_any_size() -> None:
    assert find_move(EMPTY, np.ascontiguousarray(frame(0)[::2, ::2])).state == "in_place"
    assert find_move(EMPTY, np.zeros((1, 1, 3), np.uint8)).state == "covered"
