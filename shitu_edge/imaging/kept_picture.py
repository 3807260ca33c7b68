"""The picture that a gallery item keeps: its product with a margin, small enough for thousands in a file."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .geometry import Pixels

LONGEST_SIDE = 320
"""Pixels of a kept picture."""
_MARGIN = 0.1
"""Of the product's width and height, on each side; another extractor may want more of the surroundings."""
_QUALITY = 90

Box = tuple[float, float, float, float]


def keep_picture(pixels_rgb: Pixels, box_xyxy: NDArray[np.float32] | None) -> tuple[bytes, Box]:
    """Return a JPEG of the part of an image inside a box, with a margin, and where that part is in it.

    Args:
        pixels_rgb: the image (H, W, 3) uint8 RGB.
        box_xyxy: (4,) in its pixels; None for all of it.

    Returns:
        The JPEG, its longest side at most 320 px, about 15 kB; and the box of the part in its pixels.
    """
    height, width = pixels_rgb.shape[:2]
    left, top, right, bottom = (0, 0, width, height) if box_xyxy is None else map(int, box_xyxy)
    across, down = round(_MARGIN * (right - left)), round(_MARGIN * (bottom - top))
    x1, y1, x2, y2 = max(0, left - across), max(0, top - down), min(width, right + across), min(height, bottom + down)
    image = Image.fromarray(np.ascontiguousarray(pixels_rgb[y1:y2, x1:x2]))
    scale = min(1.0, LONGEST_SIDE / max(image.size))
    if scale < 1:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)
    across_scale, down_scale = image.width / (x2 - x1), image.height / (y2 - y1)
    content = BytesIO()
    image.save(content, "JPEG", quality=_QUALITY, subsampling=0)
    box = (
        (left - x1) * across_scale,
        (top - y1) * down_scale,
        (right - x1) * across_scale,
        (bottom - y1) * down_scale,
    )
    return content.getvalue(), box
