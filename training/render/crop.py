"""One product as a detector's crop shows it, or as a catalog does."""

from __future__ import annotations

import cv2
import numpy as np

from shitu_edge.imaging.geometry import Pixels

from .camera import photographed
from .design import VARIETIES
from .occluders import hand, price_tag, rail
from .placing import cast_shadow, pose
from .product import Product
from .sprite import Light, Sprite, View, lay
from .surfaces import Surfaces, backdrop, surface

_FOREIGN = 48
"""Number of other products that stand next to one; few, so that their labels are drawn once."""


def draw_crop(product: Product, rng: np.random.Generator, size: int, surfaces: Surfaces | None = None) -> Pixels:
    """Draw a product as a crop out of a photo, stretched to a square as PP-ShiTu does with its boxes.

    Most crops have a backdrop, neighbors, something before the product and a box that is not quite tight (each side
    between 8 % inside and 15 % outside); every sixth is a catalog's picture: alone, on white or a plain color.

    Args:
        product: what to draw.
        rng: decides the view.
        size: side of the crop in px.
        surfaces: photos of surfaces for the backdrop, from `load_surfaces`.

    Returns:
        uint8 RGB (size, size, 3).
    """
    if rng.random() < 0.16:
        return _catalog(product, rng, size)
    if product.design.kind == "fruit" and rng.random() < 0.6:
        return _pile(product, rng, size, surfaces)
    return _photo(product, rng, size, surfaces)


def _photo(product: Product, rng: np.random.Generator, size: int, surfaces: Surfaces | None) -> Pixels:
    light = Light.draw(rng)
    long_side = round(size * float(rng.choice([rng.uniform(0.35, 0.7), rng.uniform(0.7, 1.25)], p=[0.25, 0.75])))
    sprite = pose(product, _view(rng, light), long_side, rng, _roll(rng))
    height, width = sprite.mask.shape
    margins = rng.uniform(-0.08, 0.15, 4) * np.array([width, height, width, height])
    left, top, right, bottom = (round(m) for m in margins)
    w, h = width + left + right, height + top + bottom
    canvas = backdrop(rng, h, w, surfaces)
    if rng.random() < 0.45:
        _neighbors(canvas, product, light, rng, sprite.mask.shape, (left, top))
    before = None
    if rng.random() < 0.2:
        behind, before = hand(rng, h, w, (left, top, left + width, top + height))
        lay(canvas, behind, 0, 0)
    if rng.random() < 0.7:
        cast_shadow(canvas, sprite.mask, left, top, light, float(rng.uniform(0.15, 0.6)))
    lay(canvas, sprite, left, top)
    if before is not None:
        lay(canvas, before, 0, 0)
    elif rng.random() < 0.22:
        _cover(canvas, product, light, rng)
    canvas = photographed(rng, canvas)
    return _squared(canvas, size)


def _roll(rng: np.random.Generator) -> float:
    pick = float(rng.random())
    if pick < 0.62:
        return float(rng.normal(0, 0.05))
    if pick < 0.87:
        return float(rng.uniform(-0.55, 0.55))
    return float(rng.uniform(-np.pi, np.pi))


def _view(rng: np.random.Generator, light: Light) -> View:
    yaw = float(rng.normal(0, 0.4)) if rng.random() < 0.93 else float(rng.uniform(-np.pi, np.pi))
    pitch = float(rng.uniform(0, 0.25)) if rng.random() < 0.7 else float(rng.uniform(-0.2, 0.6))
    return View(yaw, pitch, light)


def neighbor_of(product: Product, rng: np.random.Generator) -> Product:
    """Return another product as it stands beside one in a shop: the same, one of its brand, or a foreign one."""
    pick = float(rng.random())
    if pick < 0.3:
        return product
    if pick < 0.5:
        return Product.of(product.seed - product.seed % VARIETIES + int(rng.integers(VARIETIES)))
    return Product.of(2_000_000_000 + int(rng.integers(_FOREIGN)))


def _neighbors(
    canvas: Pixels,
    product: Product,
    light: Light,
    rng: np.random.Generator,
    shape: tuple[int, ...],
    corner: tuple[int, int],
) -> None:
    height, width = shape
    left, top = corner
    yaw, pitch = float(rng.normal(0, 0.3)), float(rng.uniform(0, 0.2))
    for side in (-1, 1):
        if rng.random() < 0.65:
            other = neighbor_of(product, rng)
            size = max(16, round(height * float(rng.uniform(0.8, 1.2))))
            sprite = other.draw(View(yaw, pitch, light), size)
            gap = round(width * float(rng.uniform(-0.12, 0.1)))
            x = left + width + gap if side > 0 else left - sprite.mask.shape[1] - gap
            lay(
                canvas, sprite, x, top + height - sprite.mask.shape[0] + round(height * float(rng.uniform(-0.04, 0.04)))
            )


def _cover(canvas: Pixels, product: Product, light: Light, rng: np.random.Generator) -> None:
    """Put something before the product: another one at a side, a shelf's edge below, a price tag."""
    height, width = canvas.shape[:2]
    pick = float(rng.random())
    if pick < 0.5:
        other = neighbor_of(product, rng).draw(
            View(float(rng.normal(0, 0.4)), 0.1, light), max(16, round(height * float(rng.uniform(0.5, 1.1))))
        )
        shown = round(min(width * float(rng.uniform(0.05, 0.3)), other.mask.shape[1]))
        x = width - shown if rng.random() < 0.5 else shown - other.mask.shape[1]
        lay(canvas, other, x, height - round(other.mask.shape[0] * float(rng.uniform(0.6, 1.0))))
    elif pick < 0.85:
        edge = rail(rng, round(height * float(rng.uniform(0.06, 0.16))), width)
        lay(canvas, edge, 0, height - round(height * float(rng.uniform(0.05, 0.16))))
    else:
        tag = price_tag(rng, round(height * 0.14), round(width * float(rng.uniform(0.2, 0.4))))
        lay(canvas, tag, int(rng.integers(0, width)), round(height * float(rng.uniform(0.6, 0.9))))


def _pile(product: Product, rng: np.random.Generator, size: int, surfaces: Surfaces | None) -> Pixels:
    """Draw many of a fruit, as they lie in a shop."""
    canvas = surface(rng, size, size, surfaces)
    light = Light.draw(rng)
    each = round(size * float(rng.uniform(0.2, 0.5)))
    different = [_turned_fruit(product, rng, light, each) for _ in range(5)]
    for _ in range(round(2.2 * (size / each) ** 2)):
        sprite = different[int(rng.integers(len(different)))]
        x, y = (int(v) for v in rng.integers(-each // 2, size - each // 3, 2))
        cast_shadow(canvas, sprite.mask, x, y, light, 0.45)
        lay(canvas, sprite, x, y)
    return photographed(rng, canvas)


def _turned_fruit(product: Product, rng: np.random.Generator, light: Light, each: int) -> Sprite:
    view = View(float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(0, 0.8)), light)
    return pose(product, view, round(each * float(rng.uniform(0.85, 1.1))), rng, float(rng.normal(0, 0.8)))


def _catalog(product: Product, rng: np.random.Generator, size: int) -> Pixels:
    light = Light.draw(rng)
    view = View(float(rng.normal(0, 0.12)), float(rng.choice([0.0, rng.uniform(0, 0.25)])), light)
    sprite = pose(product, view, round(size * 0.9), rng, 0.0)
    height, width = sprite.mask.shape
    pad = round(size * float(rng.uniform(0.01, 0.12)))
    h, w = height + 2 * pad, width + 2 * pad
    if rng.random() < 0.6:
        h = w = max(h, w)
    plain = (255, 255, 255) if rng.random() < 0.75 else tuple(int(c) for c in rng.integers(190, 250, 3))
    canvas = np.empty((h, w, 3), np.uint8)
    canvas[:] = plain
    x, y = (w - width) // 2, (h - height) // 2
    if rng.random() < 0.4:
        cast_shadow(canvas, sprite.mask, x, y, light, 0.25)
    lay(canvas, sprite, x, y)
    return _squared(photographed(rng, canvas, 0.35), size)


def _squared(image: Pixels, size: int) -> Pixels:
    shrinks = image.shape[0] * image.shape[1] > size * size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
