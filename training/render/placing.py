"""Turning a product in the picture's plane, a little perspective, and the shadow that it casts."""

from __future__ import annotations

import cv2
import numpy as np

from shitu_edge.imaging.geometry import Pixels

from .product import Product
from .sprite import Light, Sprite, View, mask_box, shared


def pose(
    product: Product, view: View, long_side: int, rng: np.random.Generator, roll: float, scale: float = 1.0
) -> Sprite:
    """Return a product turned by `roll` radians in the plane, slightly in perspective, cut tight.

    long_side: px of the longer side of what comes out, nearly.
    """
    upright = product.draw(view, max(12, round(long_side / max(1.0, product.aspect))), scale)
    height, width = upright.mask.shape
    c, s = np.cos(roll), np.sin(roll)
    corners = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2
    moved = corners @ np.array([[c, s], [-s, c]]) * (1 + rng.uniform(-0.05, 0.05, (4, 1)))
    moved *= long_side / max(np.ptp(moved[:, 0]), np.ptp(moved[:, 1]))
    moved -= moved.min(0)
    out_w, out_h = (int(np.ceil(v)) + 2 for v in moved.max(0))
    matrix = cv2.getPerspectiveTransform((corners - corners.min(0)).astype(np.float32), (moved + 1).astype(np.float32))
    turned = upright.warped(matrix, out_w, out_h)
    box = mask_box(turned.mask)
    return turned if box is None else turned.cut(*box)


def cast_shadow(canvas: Pixels, mask: Pixels, x: int, y: int, light: Light, strength: float) -> None:
    """Darken the canvas where a body at (x, y) shades it: softly, away from the light."""
    size = max(mask.shape)
    reach = round(0.2 * size) + 4
    x1, y1 = max(0, x - reach), max(0, y - reach)
    part = canvas[y1 : max(0, y + mask.shape[0] + reach), x1 : max(0, x + mask.shape[1] + reach)]
    height, width = part.shape[:2]
    if min(height, width) < 4:
        return
    shift_x = x - x1 - np.sin(light.azimuth) * 0.12 * size
    shift_y = y - y1 + 0.04 * size
    # A quarter of the size is enough for a soft shadow.
    matrix = np.array([[0.25, 0, shift_x / 4], [0, 0.25, shift_y / 4]], np.float32)
    small = cv2.warpAffine(mask, matrix, (max(1, width // 4), max(1, height // 4)), flags=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(small, (0, 0), 0.012 * size + 0.6)
    dark = 255 - (cv2.resize(soft, (width, height)) * strength).astype(np.uint8)
    part[:] = cv2.multiply(part, cv2.merge([dark] * 3), scale=1 / 255)


def ground_shadow(canvas: Pixels, mask: Pixels, x: int, y: int, light: Light, pitch: float, strength: float) -> None:
    """Darken the table where a standing body at (x, y) shades it: its outline laid down away from the light."""
    height, width = mask.shape
    lean = -np.sin(light.azimuth) * float(np.clip(1.4 - light.elevation, 0.3, 1.2))
    flat = (0.12 + 0.7 * np.sin(pitch)) * np.cos(light.azimuth) * float(np.clip(1.3 - light.elevation, 0.25, 1.0))
    reach = round(height * max(abs(lean), 0.25)) + 4
    x1, y1 = max(0, x - reach), max(0, y)
    part = canvas[y1 : max(0, y + height + round(0.2 * height)), x1 : max(0, x + width + reach)]
    if min(part.shape[:2]) < 8:
        return
    foot = y + height - 0.5 * width * np.sin(pitch)
    # A point of the outline that is v px above the foot falls v × lean to the side and v × flat up (behind the body).
    matrix = np.array(
        [
            [0.25, -0.25 * lean, 0.25 * (x - x1 + lean * (foot - y))],
            [0, 0.25 * flat, 0.25 * (foot - y1 - flat * (foot - y))],
        ],
        np.float32,
    )
    size = (max(1, part.shape[1] // 4), max(1, part.shape[0] // 4))
    soft = cv2.GaussianBlur(cv2.warpAffine(mask, matrix, size), (0, 0), 0.01 * height + 0.5)
    contact = np.zeros(size[::-1], np.uint8)
    middle = (round((x + width / 2 - x1) / 4), round((foot - y1) / 4))
    axes = (max(1, round(width * 0.14)), max(1, round(width * (0.02 + 0.14 * np.sin(pitch)))))
    cv2.ellipse(contact, middle, axes, 0, 0, 360, 255, -1)
    soft = np.maximum(soft, cv2.GaussianBlur(contact, (0, 0), 0.012 * width + 0.6))
    dark = 255 - (cv2.resize(soft, part.shape[1::-1]) * strength).astype(np.uint8)
    part[:] = cv2.multiply(part, cv2.merge([dark] * 3), scale=1 / 255)


def mirror(canvas: Pixels, sprite: Sprite, x: int, y: int, strength: float) -> None:
    """Show the lower part of a body mirrored in the table below it."""
    height, width = sprite.mask.shape
    deep = height // 3
    top = y + height - round(0.04 * height)
    windows = shared(canvas.shape, (deep, width), x, top)
    if windows is None:
        return
    here, there = windows
    paint = cv2.GaussianBlur(sprite.paint[::-1][:deep], (0, 0), 1 + 0.01 * height)
    fade = strength * np.linspace(1, 0, deep)[:, None] * (sprite.mask[::-1][:deep] / 255.0)
    share = fade[there][..., None].astype(np.float32)
    part = canvas[here].astype(np.float32)
    canvas[here] = (part + share * (paint[there] - part)).astype(np.uint8)
