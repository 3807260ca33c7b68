"""YOLO folders, read from real files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from shitu_edge_export.errors import ExportError

from training.detector.photos import photo_names, read_photos


def test_reads_pixels_and_boxes(tmp_path: Path) -> None:
    folder = yolo(tmp_path, "7 0.5 0.5 0.5 0.25\n\n0 0.95 0.5 0.2 1\n0 1.5 0.5 0.2 0.2\n")
    photo = read_photos(folder, photo_names(folder))[0]
    assert photo.name == "a.png"
    assert photo.pixels_rgb.shape == (100, 200, 3)
    assert photo.pixels_rgb[0, 0].tolist() == [30, 20, 10]
    # The second box is cut at the edge, the third lies outside.
    expected = np.array([[50, 37.5, 150, 62.5], [170, 0, 200, 100]], np.float32)
    np.testing.assert_allclose(photo.boxes_xyxy, expected, atol=1e-4)


def test_large_photos_are_shrunk_with_their_boxes(tmp_path: Path) -> None:
    folder = yolo(tmp_path, "0 0.5 0.5 0.5 0.5\n")
    photo = read_photos(folder, ["a.png"], longest_side=50)[0]
    assert photo.pixels_rgb.shape == (25, 50, 3)
    np.testing.assert_allclose(photo.boxes_xyxy, [[12.5, 6.25, 37.5, 18.75]])


@pytest.mark.parametrize("label", [None, ""])
def test_a_photo_of_nothing(tmp_path: Path, label: str | None) -> None:
    assert read_photos(yolo(tmp_path, label), ["a.png"])[0].boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize("label", ["0 0.5 0.5 0.5\n", "0 0.5 0.5 0.5 wide\n", "0 0.1 0.1 0.1 0.1\n0 0.5\n"])
def test_refuses_a_damaged_label(tmp_path: Path, label: str) -> None:
    with pytest.raises(ExportError, match=r"a\.txt: expected lines"):
        read_photos(yolo(tmp_path, label), ["a.png"])


def test_refuses_a_damaged_photo_and_a_folder_without(tmp_path: Path) -> None:
    folder = yolo(tmp_path, "")
    (folder / "images" / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="cannot be decoded"):
        read_photos(folder, ["a.png"])
    with pytest.raises(ValueError, match="found none"):
        photo_names(tmp_path / "labels")


def yolo(folder: Path, label: str | None) -> Path:
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    cv2.imwrite(str(folder / "images" / "a.png"), np.full((100, 200, 3), [10, 20, 30], np.uint8))
    if label is not None:
        (folder / "labels" / "a.txt").write_text(label, "utf-8")
    return folder
