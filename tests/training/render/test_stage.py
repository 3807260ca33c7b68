from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.render.sprite import Sprite
from training.render.stage import Stage


def _sprite(mask: NDArray[np.uint8]) -> Sprite:
    share = np.repeat(mask[..., None], 3, 2)
    return Sprite(share.copy(), 255 - share, mask)


def _rectangle(width: int, height: int) -> Sprite:
    return _sprite(np.full((height, width), 255, np.uint8))


def _stage(width: int = 100, height: int = 80) -> Stage:
    return Stage(np.zeros((height, width, 3), np.uint8))


def test_the_box_is_what_is_seen() -> None:
    stage = _stage()
    stage.put(5, _rectangle(40, 30), 10, 20)
    stage.put(None, _rectangle(15, 80), 35, 0)  # covers the right 15 columns
    scene = stage.scene(stage.canvas)
    assert scene.identities == (5,)
    np.testing.assert_array_equal(scene.boxes_xyxy, [[10, 20, 35, 50]])


def test_a_box_ends_at_the_edge_of_the_picture() -> None:
    stage = _stage()
    stage.put(5, _rectangle(40, 30), -10, 60)
    np.testing.assert_array_equal(stage.scene(stage.canvas).boxes_xyxy, [[0, 60, 30, 80]])


@pytest.mark.parametrize(("seen", "boxes"), [(13, 1), (11, 0)])
def test_a_product_needs_three_tenths_to_be_seen(seen: int, boxes: int) -> None:
    stage = _stage()
    stage.put(5, _rectangle(40, 30), 0, 0)
    stage.put(6, _rectangle(40, 30), seen, 0)
    scene = stage.scene(stage.canvas)
    assert len(scene.boxes_xyxy) == boxes + 1
    assert scene.identities[-1] == 6


def test_a_tilted_picture_has_tilted_boxes() -> None:
    stage = _stage(200, 160)
    stage.put(5, _rectangle(60, 40), 70, 60)
    stage.tilt(0.2)
    # The rectangle's corners, turned about the middle of the picture and enlarged as documented.
    zoom = max(np.cos(0.2) + np.sin(0.2) * 160 / 200, np.cos(0.2) + np.sin(0.2) * 200 / 160)
    x, y = np.array([-30, 30, 30, -30]), np.array([-20, -20, 20, 20])
    across = zoom * (np.cos(0.2) * x + np.sin(0.2) * y) + 100
    down = zoom * (-np.sin(0.2) * x + np.cos(0.2) * y) + 80
    expected = [[across.min(), down.min(), across.max(), down.max()]]
    np.testing.assert_allclose(stage.scene(stage.canvas).boxes_xyxy, expected, atol=1.5)
    assert (stage.canvas[..., 0] > 127).sum() == pytest.approx(60 * 40 * zoom**2, rel=0.03)


def test_nothing_seen_is_no_box() -> None:
    stage = _stage()
    stage.put(5, _rectangle(20, 20), 200, 200)
    scene = stage.scene(stage.canvas)
    assert scene.boxes_xyxy.shape == (0, 4)
    assert scene.boxes_xyxy.dtype == np.float32
