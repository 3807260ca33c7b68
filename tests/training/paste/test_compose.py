"""Boxes against what the canvas shows."""

from __future__ import annotations

import numpy as np
import pytest

from training.paste.compose import SHARPEST, Canvas, Pose, place
from training.paste.cutouts import Cutout


def block(width: int, height: int, color: tuple[int, int, int] = (200, 30, 30), clear: float = 0) -> Cutout:
    alpha = np.ones((height, width), np.float32)
    pixels = np.full((height, width, 3), color, np.uint8)
    return Cutout(pixels, alpha, np.full_like(alpha, clear), upright_deg=0, is_cut=False)


def canvas(height: int = 200, width: int = 300) -> Canvas:
    """Return a canvas without shadows."""
    empty = Canvas.of(np.full((height, width, 3), 128, np.uint8), np.random.default_rng(0))
    return Canvas(empty.pixels, empty.owner, [], (0, 0), depth=0)


def lay(scene: Canvas, cutout: Cutout, x: float, y: float, size: float, turn: float = 0, stands: bool = False) -> None:
    place(np.random.default_rng(0), scene, cutout, Pose(x, y, size, turn, tilt=0, stands=stands))


def test_boxes_are_the_visible_extent() -> None:
    scene = canvas()
    lay(scene, block(40, 80), 100, 100, 80)
    lay(scene, block(60, 60), 140, 100, 60)  # hides the right 10 columns of the first from row 70 to 130
    lay(scene, block(60, 100), 300, 100, 100)  # half of it is off the canvas
    np.testing.assert_allclose(
        scene.visible_boxes(0.3), [[80, 60, 120, 140], [110, 70, 170, 130], [270, 50, 300, 150]], atol=1
    )
    lay(scene, block(60, 100), 125, 100, 100)  # leaves 15 columns of the first, and 15 of the second
    np.testing.assert_allclose(
        scene.visible_boxes(0.3), [[80, 60, 95, 140], [270, 50, 300, 150], [95, 50, 155, 150]], atol=1
    )
    assert len(scene.visible_boxes(0.2)) == 4


def test_boxes_enclose_exactly_what_changed() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        scene = canvas()
        before = scene.pixels.copy()
        x, y, size, turn = (float(value) for value in rng.uniform((0, 0, 30, 0), (300, 200, 150, 360)))
        pose = Pose(x, y, size, turn, tilt=0.1)
        place(rng, scene, block(50, 90, (255, 0, 0)), pose)
        # Half or more of the way from the ground to the object's color: what a person would call its pixels.
        changed = np.abs(scene.pixels - before).max(axis=2) > 50
        rows, columns = np.nonzero(changed)
        box = scene.visible_boxes(0.0)
        expected = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]] if len(rows) else np.zeros((0, 4))
        np.testing.assert_allclose(box, expected, atol=1.01)


@pytest.mark.parametrize(("turn", "box"), [(0, [80, 60, 120, 140]), (90, [60, 80, 140, 120])])
def test_turns(turn: float, box: list[float]) -> None:
    scene = canvas()
    lay(scene, block(40, 80), 100, 100, 80, turn)
    np.testing.assert_allclose(scene.visible_boxes(0.3), [box], atol=1)


def test_turns_counter_clockwise() -> None:
    scene, cutout = canvas(), block(40, 80)
    cutout.pixels_rgb[60:] = (0, 0, 255)  # its lower end is blue
    lay(scene, cutout, 100, 100, 80, turn=90)
    assert scene.pixels[100, 130].argmax() == 2
    assert scene.pixels[100, 70].argmax() == 0


def test_stands_on_its_foot_and_is_not_magnified_too_much() -> None:
    scene = canvas()
    lay(scene, block(20, 40), 100, 150, 400, stands=True)
    x0, y0, x1, y1 = scene.visible_boxes(0.3)[0]
    assert abs(y1 - 150) <= 1
    assert abs((y1 - y0) - 40 * SHARPEST) <= 2
    assert abs((x0 + x1) / 2 - 100) <= 1


def test_what_lies_behind_clear_things_shows_through() -> None:
    seen = []
    for ground in (40, 220):
        scene = Canvas(np.full((100, 100, 3), ground, np.float32), np.full((100, 100), -1, np.int16), [], (0, 0), 0)
        lay(scene, block(40, 40, (230, 230, 230), clear=1), 50, 50, 40)
        seen.append(scene.pixels[50, 50, 0])
    np.testing.assert_allclose(seen, [40, 220], atol=1)


def test_shadows_darken_the_ground_around_and_do_not_widen_the_box() -> None:
    scene = Canvas(np.full((200, 200, 3), 200, np.float32), np.full((200, 200), -1, np.int16), [], (0.1, 0.1), 0.6)
    lay(scene, block(60, 60), 100, 100, 60)
    assert scene.pixels[133, 133].mean() < 180
    assert scene.pixels[5, 5].mean() == 200
    np.testing.assert_allclose(scene.visible_boxes(0.3), [[70, 70, 130, 130]], atol=1)


def test_a_perspective_moves_boxes_with_pixels() -> None:
    scene = canvas()
    lay(scene, block(40, 80), 100, 100, 80)
    matrix = np.array([[1.2, 0, -10], [0, 0.9, 5], [0, 0, 1]], np.float64)
    scene.warp(matrix)
    np.testing.assert_allclose(scene.visible_boxes(0.9), [[86, 59, 134, 131]], atol=1.01)
    changed = np.abs(scene.pixels - 128).max(axis=2) > 40
    rows, columns = np.nonzero(changed)
    np.testing.assert_allclose(
        [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], scene.visible_boxes(0.9)[0], atol=1.01
    )
    assert scene.areas == [pytest.approx(40 * 80 * 1.2 * 0.9, rel=0.02)]
    assert scene.pixels.dtype == np.float32
