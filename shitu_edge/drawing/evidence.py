"""The points by which a second look has told products, drawn between the object and the gallery's photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..imaging.geometry import Pixels
from .sheet import LINE, MARGIN, blank, write

_SIDE = 360
_MOST_LINES = 40
"""More would hide what they connect; they are spread evenly over the points."""
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DOT = 3


@dataclass(frozen=True, slots=True)
class Panel:
    """An object and a gallery photo, both (h, w, 3) uint8 RGB, under a heading, and points (N, 2) in their pixels."""

    heading: str
    object_rgb: Pixels
    photo_rgb: Pixels
    object_xy: NDArray[np.float32]
    photo_xy: NDArray[np.float32]


def draw_evidence(panels: Sequence[Panel]) -> Image.Image:
    """Return a sheet with a panel per row: the object, the photo, and lines between the points that agree."""
    height = LINE + _SIDE + MARGIN
    sheet = blank(2 * _SIDE + 3 * MARGIN, MARGIN + height * max(1, len(panels)))
    pen = ImageDraw.Draw(sheet)
    for number, panel in enumerate(panels):
        top = MARGIN + number * height
        write(sheet, (MARGIN, top), panel.heading, 2 * _SIDE + MARGIN)
        here = _placed(sheet, panel.object_rgb, MARGIN, top + LINE, panel.object_xy)
        there = _placed(sheet, panel.photo_rgb, 2 * MARGIN + _SIDE, top + LINE, panel.photo_xy)
        step = max(1, -(-len(here) // _MOST_LINES))
        for place, (one, other) in enumerate(zip(here[::step].tolist(), there[::step].tolist(), strict=True)):
            color = _COLORS[place % len(_COLORS)]
            pen.line((*one, *other), fill=color, width=1)
            for x, y in (one, other):
                pen.ellipse((x - _DOT, y - _DOT, x + _DOT, y + _DOT), fill=color, outline="white")
    return sheet


def _placed(
    sheet: Image.Image, pixels_rgb: Pixels, left: int, top: int, points_xy: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Put an image into a square of the sheet; return points in its pixels as points of the sheet."""
    height, width = pixels_rgb.shape[:2]
    scale = _SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    corner = left + (_SIDE - size[0]) // 2, top + (_SIDE - size[1]) // 2
    sheet.paste(Image.fromarray(np.ascontiguousarray(pixels_rgb)).resize(size, Image.Resampling.LANCZOS), corner)
    return np.asarray(points_xy * scale + np.array(corner, np.float32), np.float32)
