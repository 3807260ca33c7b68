"""What is written is what the detector's training reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.detector.photos import read_photos
from training.paste.yolo import write_image


def test_images_and_boxes_come_back(tmp_path: Path) -> None:
    pixels = np.full((90, 120, 3), (200, 60, 20), np.uint8)
    boxes = np.array([[10, 20, 50, 90], [0, 0, 120, 45]], np.float32)
    write_image(tmp_path, "a", pixels, boxes)
    write_image(tmp_path, "b", pixels, np.zeros((0, 4), np.float32))
    assert (tmp_path / "labels/a.txt").read_text("utf-8").splitlines()[0] == "0 0.250000 0.611111 0.333333 0.777778"
    photo, empty = read_photos(tmp_path, ["a.jpg", "b.jpg"])
    np.testing.assert_allclose(photo.boxes_xyxy, boxes, atol=1e-3)
    assert np.abs(photo.pixels_rgb.astype(int) - pixels).max() < 6
    assert empty.boxes_xyxy.shape == (0, 4)
