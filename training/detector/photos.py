"""Photos with boxes out of YOLO folders, decoded once into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from shitu_edge_export.images import read_yolo

Boxes = NDArray[np.float32]
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo's pixels (H, W, 3) uint8 RGB and the boxes (M, 4) float32 of its things: x1, y1, x2, y2 in its pixels."""

    name: str
    pixels_rgb: NDArray[np.uint8]
    boxes_xyxy: Boxes


def photo_names(folder: Path) -> list[str]:
    """Return the names of a YOLO folder's photos (`images/`), sorted.

    Raises:
        ValueError: there are none.
    """
    images = folder / "images"
    names = sorted(path.name for path in images.glob("*") if path.suffix.lower() in _SUFFIXES)
    if not names:
        raise ValueError(f"{folder}: expected a YOLO folder with photos in images/, found none")
    return names


def read_photos(folder: Path, names: Sequence[str], longest_side: int = 640) -> list[Photo]:
    """Read photos of a YOLO folder: `images/NAME.jpg` with its boxes in `labels/NAME.txt`, none where that is missing.

    Args:
        folder: holds `images/` and `labels/`; a label's lines are `class cx cy w h`, relative; the class is ignored.
        names: which photos.
        longest_side: larger photos are shrunk to it, in pixels.

    Raises:
        ValueError: a photo cannot be decoded.
        ExportError: a label file has other lines.
    """
    photos = []
    for name in names:
        pixels = read_rgb(folder / "images" / name)
        height, width = pixels.shape[:2]
        shrink = longest_side / max(height, width)
        if shrink < 1:
            size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        boxes = _read_boxes((folder / "labels" / name).with_suffix(".txt"))
        height, width = pixels.shape[:2]
        photos.append(Photo(name, pixels, boxes * np.array([width, height, width, height], np.float32)))
    return photos


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Decode a photo to (H, W, 3) uint8 RGB.

    Raises:
        ValueError: it cannot be decoded.
    """
    content = np.fromfile(path, np.uint8)
    pixels = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if pixels is None:
        raise ValueError(f"{path}: cannot be decoded")
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _read_boxes(path: Path) -> Boxes:
    """Read relative boxes (M, 4) x1, y1, x2, y2 clipped to 0..1; those without area are left out."""
    if not path.exists():
        return np.zeros((0, 4), np.float32)
    boxes = read_yolo(path).clip(0, 1)
    return boxes[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]
