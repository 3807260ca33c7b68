"""Drawn products as cut-outs, so that they stand in a scene among photographed ones."""

from __future__ import annotations

import numpy as np

from ..render.product import Product
from ..render.sprite import Light, Sprite, View
from .cutouts import Cutout
from .scenes import Material

_FIRST, _PRODUCTS = 3_000_000, 4000
_FINE = 400
"""Pixels up to which a label is drawn as usual."""


def any_product(rng: np.random.Generator, material: Material, light: Light, drawn: float, height: int) -> Cutout:
    """Draw a product of the material or, with the probability `drawn`, draw one that is `height` pixels high."""
    if rng.random() >= drawn:
        return material.any_whole(rng)
    product = Product.of(_FIRST + int(rng.integers(_PRODUCTS)))
    view = View(float(rng.normal(0, 0.35)), float(rng.uniform(0.0, 0.3)), light)
    return as_cutout(product.draw(view, height, max(1.0, height / _FINE)))


def as_cutout(sprite: Sprite) -> Cutout:
    """Turn a drawn product into a cut-out: its paint, and how much of what lies behind shows through."""
    alpha = sprite.mask.astype(np.float32) / np.float32(255)
    through = sprite.through.mean(axis=2, dtype=np.float32) / 255
    clear = np.where(alpha > 0.5, through.clip(0, 0.75), np.float32(0))
    opaque = np.maximum(1 - through, np.float32(0.15))[..., None]
    pixels = np.clip(sprite.paint / opaque, 0, 255).astype(np.uint8)
    return Cutout(pixels, alpha, clear.astype(np.float32), 0.0, False)
