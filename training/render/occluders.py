"""Occluders in front of a product: fingers of a hand, a price tag, a shelf's edge."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels

from .colors import BLACK, WHITE, Color, from_hsv, mix
from .label import write
from .sprite import Sprite

Box = tuple[int, int, int, int]


def hand(rng: np.random.Generator, height: int, width: int, box: Box) -> tuple[Sprite, Sprite]:
    """Return a hand that holds what is in the box (x1, y1, x2, y2): what lies behind it, and the fingers before it.

    Both sprites have the size of the canvas, (height, width).
    """
    skin = from_hsv(float(rng.uniform(0.03, 0.07)), float(rng.uniform(0.3, 0.55)), float(rng.uniform(0.4, 0.95)))
    x1, y1, x2, y2 = box
    w, h = x2 - x1, y2 - y1
    thick = max(4.0, min(0.2 * w + 0.05 * h, 0.12 * h) * float(rng.uniform(0.9, 1.3)))
    y = y1 + h * float(rng.uniform(0.4, 0.75))
    left = bool(rng.random() < 0.5)
    side, inward = (x1, 1.0) if left else (x2, -1.0)
    palm, before = np.zeros((2, height, width, 4), np.uint8)
    # The arm comes from below, the palm lies behind one side, the thumb over it, four fingers reach round the other.
    away = side - inward * thick * 3.2
    foot = (away - inward * w * float(rng.uniform(0, 0.6)), float(height + 4 * thick))
    wrist = (side - inward * 0.9 * thick, y + 1.3 * thick)
    _limb(palm, (foot, wrist, (side + inward * 0.3 * w, y)), (4.2 * thick, 3.4 * thick, 2.6 * thick), skin)
    far = x2 if left else x1
    reach = float(rng.uniform(0.14, 0.36))
    for k, wide in enumerate((0.95, 1.05, 1.0, 0.82)):
        fy = y + (k - 1.6) * thick * 0.98
        tip = (far - inward * w * reach * (1 - 0.14 * abs(k - 1.4)), fy + thick * float(rng.uniform(-0.1, 0.35)))
        knuckle = (far + inward * thick * 0.1, fy - 0.1 * thick)
        _limb(before, (knuckle, tip), (1.1 * wide * thick, 0.92 * wide * thick), mix(skin, BLACK, 0.02 * k), nail=True)
    thumb = (side + inward * w * float(rng.uniform(0.25, 0.5)), y - h * float(rng.uniform(0.0, 0.12)))
    root = (side - inward * 1.2 * thick, y + 2.0 * thick)
    joint = (side - inward * 0.1 * thick, y + 0.2 * thick)
    _limb(before, (root, joint, thumb), (2.2 * thick, 1.45 * thick, 1.0 * thick), skin, nail=True)
    return _finished(palm), _finished(before)


def _limb(
    canvas: Pixels,
    points: tuple[tuple[float, float], ...],
    widths: tuple[float, ...],
    skin: Color,
    nail: bool = False,
) -> None:
    """Draw a rounded limb through points, px wide there; lighter along its middle, with a nail at its end."""
    s = np.linspace(0, 1, 14)[:, None]
    ends = np.array(points)
    path = ends[0] + s * (ends[-1] - ends[0])
    if len(points) == 3:
        path = (1 - s) ** 2 * ends[0] + 2 * s * (1 - s) * ends[1] + s**2 * ends[2]
    radii = np.interp(s[:, 0], np.linspace(0, 1, len(widths)), widths) / 2
    steps = int(np.clip(max(widths) / 3, 4, 18))
    red = (round(skin[0] * 0.72), round(skin[1] * 0.5), round(skin[2] * 0.45))
    for step in range(steps):
        across = 1 - step / steps
        round_ = float(np.sqrt(1 - across**2))
        color = mix(mix(red, skin, min(1.0, 0.25 + round_)), WHITE, 0.12 * round_**3)
        # Light comes a little from above: the bright middle is moved up.
        moved = path - np.stack([0 * radii, 0.2 * radii * round_], 1)
        _tapered(canvas, moved, radii * across, (*color, 255))
    if nail:
        along = ends[-1] - ends[-2]
        along /= np.linalg.norm(along) + 1e-6
        middle = tuple(int(v) for v in np.rint((ends[-1] + along * 0.35 * radii[-1] - (0, 0.15 * radii[-1])) * 16))
        axes = (max(1, round(6.4 * radii[-1])), max(1, round(8.8 * radii[-1])))
        turn = float(np.degrees(np.arctan2(along[1], along[0])))
        pale = mix(skin, (255, 226, 216), 0.55)
        cv2.ellipse(canvas, middle, axes, turn, 0, 360, (*mix(pale, red, 0.35), 255), -1, cv2.LINE_AA, 4)
        inner = (max(1, round(5.6 * radii[-1])), max(1, round(7.8 * radii[-1])))
        cv2.ellipse(canvas, middle, inner, turn, 0, 360, (*pale, 255), -1, cv2.LINE_AA, 4)


def _tapered(canvas: Pixels, path: NDArray[np.float64], radii: NDArray[np.float64], color: tuple[int, ...]) -> None:
    """Fill the hull of circles along a path."""
    for start, end, r1, r2 in zip(path, path[1:], radii, radii[1:], strict=False):
        for middle, r in ((start, r1), (end, r2)):
            cv2.circle(
                canvas, np.rint(middle * 16).astype(int).tolist(), max(8, round(16 * r)), color, -1, cv2.LINE_AA, 4
            )
        along = (end - start) / (np.linalg.norm(end - start) + 1e-6)
        across = np.array([-along[1], along[0]])
        corners = np.array([start + across * r1, end + across * r2, end - across * r2, start - across * r1])
        cv2.fillConvexPoly(canvas, np.rint(corners * 16).astype(np.int32), color, cv2.LINE_AA, 4)


def _finished(drawn: Pixels) -> Sprite:
    soft = cv2.GaussianBlur(drawn, (0, 0), 0.7 + 0.001 * max(drawn.shape))
    mask = np.ascontiguousarray(soft[..., 3])
    return Sprite(np.ascontiguousarray(soft[..., :3]), cv2.merge([255 - mask] * 3), mask)


def price_tag(rng: np.random.Generator, height: int, width: int) -> Sprite:
    """Return a price tag of a size."""
    paper = WHITE if rng.random() < 0.6 else from_hsv(float(rng.choice([0.0, 0.14, 0.15, 0.33])), 0.85, 0.95)
    ink = BLACK if rng.random() < 0.7 or paper != WHITE else (190, 20, 24)
    tag = np.empty((max(6, height), max(8, width), 3), np.uint8)
    tag[:] = paper
    h, w = tag.shape[:2]
    price = f"{int(rng.integers(0, 30))}.{int(rng.integers(0, 10))}9"
    write(tag, price, "DejaVuSansCondensed-Bold.ttf", (w // 2, h // 8, w * 9 // 20, h * 3 // 4), ink)
    for row in range(3):
        y = h * (2 + 2 * row) // 8
        end = w // 12 + int(w * float(rng.uniform(0.2, 0.35)))
        cv2.line(tag, (w // 12, y), (end, y), mix(ink, paper, 0.4), max(1, h // 14))
    opaque = np.full((h, w), 255, np.uint8)
    return Sprite(tag, np.zeros_like(tag), opaque)


def rail(rng: np.random.Generator, height: int, width: int) -> Sprite:
    """Return the front edge of a shelf with price tags on it."""
    color = from_hsv(float(rng.random()), float(rng.choice([0.0, 0.05, 0.6])), float(rng.uniform(0.3, 1)))
    height = max(4, height)
    shade = np.linspace(1.08, 0.75, height)[:, None, None]
    paint = np.clip(np.array(color) * shade * np.ones((1, width, 1)), 0, 255).astype(np.uint8)
    x = int(rng.integers(0, max(1, width // 3)))
    while x < width and rng.random() < 0.85:
        tag = price_tag(rng, height * 8 // 10, round(height * float(rng.uniform(1.3, 2.2))))
        end = min(width, x + tag.mask.shape[1])
        top = (height - tag.mask.shape[0]) // 2
        if top >= 0:
            paint[top : top + tag.mask.shape[0], x:end] = tag.paint[:, : end - x]
        x = end + int(rng.integers(width // 8, width // 2 + 2))
    return Sprite(paint, np.zeros_like(paint), np.full((height, width), 255, np.uint8))
