"""Shelves from a small shared folder, as files, and drawn products among cut-outs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.detector.photos import photo_names, read_photos
from training.paste.compose import Canvas, Pose, place
from training.paste.drawn import as_cutout
from training.paste.scenes import Material, load_material
from training.paste.shelves import counter_before_shelves, paste_shelves, printed_wall
from training.render.product import Product
from training.render.sprite import Light, View, mask_box

from .drawn import write_shared


@pytest.fixture(scope="module")
def small_shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shared(tmp_path_factory.mktemp("shared"))


def test_shelves_are_a_yolo_folder_of_small_things(small_shared: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    paste_shelves(tmp_path, 12, 0, small_shared, lambda done, total: told.append((done, total)))
    photos = read_photos(tmp_path, photo_names(tmp_path), longest_side=1000)
    assert [photo.name for photo in photos] == [f"{number:06d}.jpg" for number in range(12)]
    assert told[-1] == (12, 12)
    shares = []
    for photo in photos:
        height, width = photo.pixels_rgb.shape[:2]
        assert 560 <= max(height, width) <= 720
        sides = photo.boxes_xyxy[:, 2:] - photo.boxes_xyxy[:, :2]
        shares += (sides.max(axis=1) / max(height, width)).tolist()
    assert len(shares) > 40
    assert 0.04 < np.median(shares) < 0.15
    assert len({photo.pixels_rgb.shape[0] > photo.pixels_rgb.shape[1] for photo in photos}) == 2


def test_the_seed_decides(small_shared: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        paste_shelves(tmp_path / name, 1, seed, small_shared)
    a, b, c = ((tmp_path / name / "images/000000.jpg").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_a_printed_wall_shows_print_and_has_no_boxes() -> None:
    plain = Material([], [], [], [np.full((64, 64, 3), 150, np.uint8)], [])
    scenes = [printed_wall(np.random.default_rng(seed), 120, 160, plain) for seed in range(6)]
    assert all(scene.pixels_rgb.shape == (120, 160, 3) for scene in scenes)
    assert all(scene.boxes_xyxy.shape == (0, 4) for scene in scenes)
    contrasts = [float(np.abs(np.diff(scene.pixels_rgb.mean(axis=2), axis=1)).max()) for scene in scenes]
    assert np.median(contrasts) > 40  # edges of letters


def test_what_stands_out_of_focus_behind_a_counter_has_no_box(small_shared: Path) -> None:
    material = load_material(small_shared, lambda done, total: None)
    scenes = [counter_before_shelves(np.random.default_rng(seed), 240, 320, material) for seed in range(8)]
    lower = [scene.boxes_xyxy[:, 3] > 0.15 * 240 for scene in scenes]  # where the highest counter begins
    assert all(below.all() for below in lower)
    assert all(len(scene.boxes_xyxy) <= 10 for scene in scenes)
    assert sum(len(scene.boxes_xyxy) for scene in scenes) > 8


def test_a_drawn_product_keeps_its_outline_and_its_colors() -> None:
    rng = np.random.default_rng(0)
    sprite = Product.of(8).draw(View(0.1, 0.1, Light.draw(rng)), 120)
    canvas = Canvas.of(np.full((200, 200, 3), 128, np.uint8), rng)
    cutout = as_cutout(sprite)
    place(rng, canvas, cutout, Pose(100, 180, float(max(sprite.mask.shape)), 0.0, 0.0, stands=True))
    x1, y1, x2, y2 = canvas.visible_boxes(0.3)[0]
    left, top, right, bottom = mask_box(sprite.mask) or (0, 0, 0, 0)
    assert x2 - x1 == pytest.approx(right - left, abs=3)
    assert y2 - y1 == pytest.approx(bottom - top, abs=3)
    opaque = (sprite.mask == 255) & (sprite.through.max(axis=2) == 0)
    np.testing.assert_array_equal(cutout.pixels_rgb[opaque], sprite.paint[opaque])
