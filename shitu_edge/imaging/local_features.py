"""Local features: key points of a picture with descriptors that survive turning, scaling and light, by OpenCV.

SIFT (Lowe 2004) with the descriptors' square roots (RootSIFT, Arandjelovic and Zisserman 2012), as bytes. Chosen by
`benchmarks/local_features.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .geometry import Pixels
from .opencv import opencv

METHOD = "rootsift-1"
"""Changes with what changes the features of a picture, or how they are compared: stored ones are not read then."""
MOST_POINTS, LONGEST_SIDE = 200, 320
"""Key points of a picture, the strongest ones, and the pixels of its longer side for them. More of them name more
products, and more unknown objects. They are the same for objects and photos, or the thresholds that a
gallery's photos say would not be those of objects.
"""
_NUMBERS = 128
_UNIT = 512
"""A square root of 0.5 is stored as 255, the highest; larger ones hardly occur."""
_POINT = np.dtype("<u2")
_PER_PIXEL = 64
_ROW_BYTES = 2 * _POINT.itemsize + _NUMBERS
_SMALLEST = 16
"""Pixels of the shorter side below which nothing is looked for."""


@dataclass(frozen=True, slots=True)
class LocalFeatures:
    """Key points (N, 2) float32, x and y in pixels of the picture that was looked at, and descriptors (N, 128) uint8.

    `scale` is how many pixels of the original one such pixel is.
    """

    points_xy: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    scale: float = 1.0

    def __len__(self) -> int:
        return len(self.points_xy)

    def rows(self) -> NDArray[np.float32]:
        """Return the descriptors as unit rows (N, 128) float32."""
        rows = self.descriptors.astype(np.float32)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)
        return rows

    def to_bytes(self) -> bytes:
        """Return 132 bytes per key point."""
        points = np.clip(np.rint(self.points_xy * _PER_PIXEL), 0, np.iinfo(_POINT).max).astype(_POINT)
        return points.tobytes() + self.descriptors.tobytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> LocalFeatures:
        """Return what `to_bytes` made. Raises `ValueError` if that is impossible."""
        count, rest = divmod(len(content), _ROW_BYTES)
        if rest or count > MOST_POINTS:
            raise ValueError(f"expected {_ROW_BYTES} bytes per key point, at most {MOST_POINTS}, found {len(content)}")
        points = np.frombuffer(content, _POINT, 2 * count).reshape(count, 2) / np.float32(_PER_PIXEL)
        descriptors = np.frombuffer(content, np.uint8, offset=2 * count * _POINT.itemsize).reshape(count, _NUMBERS)
        return cls(points, descriptors)


NO_FEATURES = LocalFeatures(np.zeros((0, 2), np.float32), np.zeros((0, _NUMBERS), np.uint8))


def can_find_features() -> bool:
    """Return whether OpenCV is installed, with SIFT."""
    return hasattr(opencv(), "SIFT_create")


def find_features(pixels_rgb: Pixels, most: int = MOST_POINTS, longest_side: int = LONGEST_SIDE) -> LocalFeatures:
    """Return the strongest `most` features of a picture (h, w, 3) uint8 RGB, reduced to a longest side in pixels.

    A tiny picture, and one without texture, has none.
    """
    cv2 = opencv()
    assert cv2 is not None, "ask `can_find_features` first"
    height, width = pixels_rgb.shape[:2]
    scale = min(1.0, longest_side / max(height, width))
    if scale * min(height, width) < _SMALLEST:
        return NO_FEATURES
    gray = cv2.cvtColor(np.ascontiguousarray(pixels_rgb), cv2.COLOR_RGB2GRAY)
    if scale < 1:
        gray = cv2.resize(gray, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    found, descriptors = cv2.SIFT_create(nfeatures=most).detectAndCompute(gray, None)
    if descriptors is None:
        return NO_FEATURES
    best = np.argsort([-point.response for point in found], kind="stable")[:most]
    points = np.array([found[place].pt for place in best], np.float32)
    shares = descriptors[best] / np.maximum(descriptors[best].sum(axis=1, keepdims=True), 1)
    return LocalFeatures(points, np.minimum(np.rint(np.sqrt(shares) * _UNIT), 255).astype(np.uint8), 1 / scale)
