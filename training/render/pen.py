"""A pen that fills smooth shapes in the unit square."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .colors import WHITE, Color, mix

_SHIFT = 4
"""Fractional bits of the coordinates that OpenCV takes."""


class Pen:
    """Draws in the unit square (0–1, y down) of an RGBA picture of `side` px."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.image = np.zeros((side, side, 4), np.uint8)

    def fill(self, points: NDArray[np.float64], color: Color) -> None:
        """Fill a polygon (N, 2)."""
        scaled = np.round(points * self.side * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(self.image, [scaled], (*color, 255), cv2.LINE_AA, _SHIFT)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color, turn: float = 0.0) -> None:
        """Fill an ellipse; turn in radians."""
        a = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        px, py = rx * np.cos(a), ry * np.sin(a)
        c, s = np.cos(turn), np.sin(turn)
        self.fill(np.stack([x + c * px - s * py, y + s * px + c * py], 1), color)

    def line(self, points: list[tuple[float, float]], width: float, color: Color) -> None:
        """Draw a polyline of a relative width."""
        scaled = np.round(np.array(points) * self.side * (1 << _SHIFT)).astype(np.int32)
        thickness = max(1, round(width * self.side))
        cv2.polylines(self.image, [scaled], False, (*color, 255), thickness, cv2.LINE_AA, _SHIFT)

    def leaf(self, x: float, y: float, length: float, turn: float, color: Color) -> None:
        """Fill a pointed leaf that starts at a point, with its vein."""
        t = np.linspace(0, 1, 16)
        half = 0.28 * length * np.sin(np.pi * t) ** 0.8
        along, across = np.concatenate([t, t[::-1]]) * length, np.concatenate([half, -half[::-1]])
        c, s = np.cos(turn), np.sin(turn)
        self.fill(np.stack([x + c * along - s * across, y + s * along + c * across], 1), color)
        self.line([(x, y), (x + c * length * 0.9, y + s * length * 0.9)], 0.012, mix(color, WHITE, 0.4))
