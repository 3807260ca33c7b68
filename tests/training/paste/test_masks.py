"""Masks against the shapes that were drawn."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from shitu_edge.imaging.geometry import Pixels
from training.paste.masks import Mask, fault, find_object, find_on_white

from .drawn import board, bottle, photo


def overlap(found: Mask | None, drawn: Pixels) -> float:
    assert found is not None
    return float((found.inside & drawn).sum() / (found.inside | drawn).sum())


@pytest.mark.parametrize("color", [(60, 110, 70), (150, 40, 40), (25, 25, 25), (40, 70, 170)])
@pytest.mark.parametrize("turn_deg", [0, 30, 75])
def test_finds_the_thing_and_not_its_shadow(color: tuple[int, int, int], turn_deg: float) -> None:
    drawn = bottle(turn_deg=turn_deg)
    image = photo(drawn, color)
    found = find_object(image)
    assert overlap(found, drawn) >= 0.95
    assert found is not None
    assert fault(image, found) is None


def test_finds_clear_glass_by_its_outline() -> None:
    drawn = bottle()
    rim = drawn - cv2.erode(drawn, np.ones((7, 7), np.uint8))
    image = board()
    image[rim > 0] *= 0.75
    found = find_object(np.clip(image, 0, 255).astype(np.uint8))
    assert overlap(found, drawn) >= 0.95


def test_the_board_is_seen_as_without_the_thing() -> None:
    found = find_object(photo(bottle(), shadow=0.0))
    assert found is not None
    assert np.abs(found.board_rgb - board()).max() < 5


def test_nothing_is_found_on_an_empty_board() -> None:
    empty = photo(np.zeros((168, 224), np.uint8))
    assert find_object(empty) is None


@pytest.mark.parametrize(
    ("drawn", "reason"),
    [
        (bottle(size=(24, 24)), "area"),
        (bottle(size=(50, 400), turn_deg=90), "border"),
        (bottle(size=(24, 130)) | bottle(size=(24, 130), turn_deg=-60), "shape"),
    ],
)
def test_bad_masks_have_their_reason(drawn: Pixels, reason: str) -> None:
    image = photo(drawn)
    found = find_object(image)
    assert overlap(found, drawn) >= 0.9
    assert found is not None
    assert fault(image, found) == reason


def test_a_gray_thing_that_could_be_shadow_is_not_trusted() -> None:
    image = photo(bottle(turn_deg=0), (120, 125, 120))
    found = find_object(image)
    assert found is None or fault(image, found)


def test_a_blurred_outline_is_not_trusted() -> None:
    drawn = bottle()
    image = cv2.GaussianBlur(photo(drawn), (0, 0), 12)
    assert fault(image, Mask(drawn, board())) == "soft edge"


def test_a_white_package_is_found_by_its_hull() -> None:
    image = np.full((100, 80, 3), 255, np.uint8)
    for corner in ((20, 10), (60, 10), (20, 90), (60, 90)):
        cv2.circle(image, corner, 3, (200, 0, 0), -1)
        cv2.line(image, corner, (40, 50), (250, 200, 200), 2)
    hull = cv2.rectangle(np.zeros((100, 80), np.uint8), (17, 7), (63, 93), 1, -1)
    assert overlap(find_on_white(image, convex=True), hull) >= 0.95
    assert overlap(find_on_white(image, convex=False), hull) < 0.5
