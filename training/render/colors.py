"""Colors of packages, as RGB tuples of 0–255."""

from __future__ import annotations

import colorsys

import numpy as np

Color = tuple[int, int, int]
WHITE: Color = (248, 247, 244)
BLACK: Color = (26, 24, 26)


def from_hsv(hue: float, saturation: float, value: float) -> Color:
    """Return the color of a hue, saturation and value, each within 0–1 (the hue wraps)."""
    r, g, b = colorsys.hsv_to_rgb(hue % 1.0, min(1.0, max(0.0, saturation)), min(1.0, max(0.0, value)))
    return round(255 * r), round(255 * g), round(255 * b)


def luminance(color: Color) -> float:
    """Return how light a color looks, 0–255 (Rec. 601 weights)."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def mix(first: Color, second: Color, share: float) -> Color:
    """Return a color between two; share 0 is the first, 1 the second."""
    r, g, b = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return r, g, b


def distance(first: Color, second: Color) -> float:
    """Return the Euclidean distance of two colors in RGB."""
    return float(np.linalg.norm(np.subtract(first, second)))


def ink_on(paper: Color, wish: Color) -> Color:
    """Return the wished ink if it can be read on the paper, else black or white."""
    if abs(luminance(paper) - luminance(wish)) > 70:
        return wish
    return WHITE if luminance(paper) < 140 else BLACK
