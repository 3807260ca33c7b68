from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.render.crop import draw_crop
from training.render.files import CropOptions, SceneOptions, render_crops, render_scenes
from training.render.product import Product


def test_crops_lie_in_order_with_their_labels(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    render_crops(CropOptions(tmp_path, 5, 3, 32, seed=7), lambda done, total: told.append((done, total)))
    crops, labels = np.load(tmp_path / "crops.npy"), np.load(tmp_path / "labels.npy")
    assert crops.shape == (15, 32, 32, 3)
    assert crops.dtype == np.uint8
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, np.repeat(np.arange(5), 3))
    assert told == [(k, 5) for k in range(1, 6)]
    expected = draw_crop(Product.of(7_000_003), np.random.default_rng((7, 3, 2)), 32)
    np.testing.assert_array_equal(crops[3 * 3 + 2], expected)


def test_two_processes_draw_what_one_draws(tmp_path: Path) -> None:
    for name, processes in (("one", 1), ("two", 2)):
        render_crops(CropOptions(tmp_path / name, 3, 2, 24, processes=processes), lambda done, total: None)
    one, two = (np.load(tmp_path / name / "crops.npy") for name in ("one", "two"))
    np.testing.assert_array_equal(one, two)


def test_scenes_have_yolo_labels(tmp_path: Path) -> None:
    render_scenes(SceneOptions(tmp_path, 4, seed=2), lambda done, total: None)
    images = sorted((tmp_path / "images").iterdir())
    assert [path.name for path in images] == [f"{k:06d}.jpg" for k in range(4)]
    for path in images:
        picture = cv2.imread(str(path))
        assert picture is not None
        assert all(480 <= side <= 768 for side in picture.shape[:2])
        lines = (tmp_path / "labels" / f"{path.stem}.txt").read_text(encoding="utf-8").splitlines()
        assert lines
        for line in lines:
            number, x, y, width, height = line.split()
            assert number == "0"
            assert float(x) - float(width) / 2 + 1e-5 >= 0
            assert float(x) + float(width) / 2 <= 1 + 1e-5
            assert float(y) - float(height) / 2 + 1e-5 >= 0
            assert float(y) + float(height) / 2 <= 1 + 1e-5


def test_numbers_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="identities"):
        CropOptions(tmp_path, identities=0)
    with pytest.raises(ValueError, match="seed: expected 0 to 1999, found 2000"):
        SceneOptions(tmp_path, seed=2000)
