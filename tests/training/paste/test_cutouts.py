"""Cut-outs of drawn photos."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.paste.cutouts import BOARD, cut_out, cut_out_of_catalog

from .drawn import board, bottle, photo


def test_is_cropped_to_the_thing_with_a_soft_edge() -> None:
    drawn = bottle(turn_deg=0)
    cutout = cut_out(photo(drawn))
    assert cutout is not None
    height, width = cutout.alpha.shape
    assert abs(height - 110) <= 2
    assert abs(width - 50) <= 2
    assert cutout.alpha[height // 2, width // 2] == 1
    inner = cv2.erode(drawn, np.ones((3, 3), np.uint8)).sum()  # the outermost pixels are the board's too
    assert abs(float((cutout.alpha > 0.5).sum()) / float(inner) - 1) < 0.05
    assert ((cutout.alpha > 0.05) & (cutout.alpha < 0.95)).sum() > height
    assert not cutout.is_cut
    assert not cutout.clear.any()


def test_is_in_the_light_of_a_white_board() -> None:
    drawn = bottle(turn_deg=0)
    plain = board()
    plain[drawn > 0] = board()[drawn > 0] * (0.5, 0.3, 0.3)
    cutout = cut_out(plain.astype(np.uint8))
    assert cutout is not None
    middle = cutout.pixels_rgb[20:-20, 15:-15].reshape(-1, 3)
    np.testing.assert_allclose(middle.mean(axis=0), np.array([0.5, 0.3, 0.3]) * BOARD, atol=5)
    assert middle.std(axis=0).max() < 3


@pytest.mark.parametrize("turn_deg", [10, 60, 110, 170])
def test_upright_makes_it_stand(turn_deg: float) -> None:
    cutout = cut_out(photo(bottle(turn_deg=turn_deg)))
    assert cutout is not None
    height, width = cutout.alpha.shape
    canvas = cv2.copyMakeBorder(cutout.alpha, 80, 80, 80, 80, cv2.BORDER_CONSTANT, value=0)
    turn = cv2.getRotationMatrix2D((width / 2 + 80, height / 2 + 80), cutout.upright_deg, 1)  # counter-clockwise
    _, _, wide, high = cv2.boundingRect((cv2.warpAffine(canvas, turn, canvas.shape[::-1]) > 0.5).astype(np.uint8))
    assert abs(high - 110) <= 5
    assert abs(wide - 50) <= 5


@pytest.mark.parametrize("center", [(112, 160), (112, 8), (8, 84), (216, 84)])
def test_a_side_that_is_cut_comes_to_lie_below(center: tuple[int, int]) -> None:
    turn_deg = 0 if center[0] == 112 else 90
    cutout = cut_out(photo(bottle(center, turn_deg)))
    assert cutout is not None
    assert cutout.is_cut
    assert (cutout.alpha[-1] > 0.9).mean() > 0.85  # straight across, and sharp
    assert (cutout.alpha[0] > 0.9).mean() < 0.5


def test_glass_lets_the_ground_through_where_it_has_no_color() -> None:
    drawn = bottle(turn_deg=0)
    rim = drawn - cv2.erode(drawn, np.ones((9, 9), np.uint8))
    image = board()
    image[rim > 0] = (30, 60, 40)
    cutout = cut_out(np.clip(image, 0, 255).astype(np.uint8), see_through=True)
    assert cutout is not None
    height, width = cutout.clear.shape
    assert cutout.clear[height // 2, width // 2] > 0.7
    assert cutout.clear[height // 2, 2] < 0.05


def test_several_things_in_a_catalog_image_are_left_out() -> None:
    image = np.full((128, 128, 3), 255, np.uint8)
    for center in ((40, 40), (88, 40), (64, 90)):
        cv2.circle(image, center, 26, (30, 160, 30), -1)
    assert cut_out_of_catalog(image, is_package=False) is None
    single = cv2.circle(np.full((128, 128, 3), 255, np.uint8), (64, 64), 40, (30, 160, 30), -1)
    cutout = cut_out_of_catalog(single, is_package=False)
    assert cutout is not None
    assert max(abs(side - 81) for side in cutout.alpha.shape) <= 2
