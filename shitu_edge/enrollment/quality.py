"""What makes an enrolled image a poor one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..bundle import InputSpec
from ..imaging.geometry import Pixels
from ..imaging.resample import resize
from ..stages.regions import Product
from .likeness import Resemblance

SMALL = 48
"""Pixels of the shorter side under which an item is called small."""
_AT_THE_EDGE = 1.0
"""Pixels between a box and the edge that it touches."""
BLURRED = 80.0
"""Variance of the Laplacian under which an item is called blurred: 0.2 % of 1067 photos of drinks are, and 1.4 % of
2640 photos of a grocery store; of both, blurred by a Gaussian of 2 % of the shorter side, 98 % (`benchmarks/crop.py`).
"""


@dataclass(frozen=True, slots=True)
class Look:
    """How a product looks: small, cut off by the edge of its image, blurred."""

    small: bool = False
    cut: bool = False
    blurred: bool = False


@dataclass(frozen=True, slots=True)
class EnrollmentQuality:
    """What is wrong with enrolled images. They are in the gallery all the same.

    An image is named by its source; one of several boxes in it also by its number, `a.jpg #2`.

    Attributes:
        small: images whose shorter side, after cropping, is under 48 pixels.
        cut: images whose box touches the edge of the image.
        blurred: images that are blurred at the extractor's size.
        identical: the same image twice, under one label or two.
        repeated: nearly the same as another item of the label (cosine ≥ 0.98), so that it adds nothing.
        confusable: nearly the same as an item of another label (cosine ≥ 0.9).
        few: labels with fewer than three items, once these are in the gallery.
        spellings: labels that differ only in case, spaces or width.
    """

    small: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    blurred: tuple[str, ...] = ()
    identical: tuple[Resemblance, ...] = ()
    repeated: tuple[Resemblance, ...] = ()
    confusable: tuple[Resemblance, ...] = ()
    few: tuple[str, ...] = ()
    spellings: tuple[tuple[str, ...], ...] = ()


def look_of(product: Product, spec: InputSpec) -> Look:
    """Return how a product looks to an extractor with this input."""
    height, width = product.pixels_rgb.shape[:2]
    return Look(
        small=min(height, width) < SMALL,
        cut=_touches_the_edge(product),
        blurred=sharpness(product.pixels_rgb, spec) < BLURRED,
    )


def sharpness(pixels_rgb: Pixels, spec: InputSpec) -> float:
    """Return the variance of the Laplacian of pixels (h, w, 3) uint8 RGB, in gray levels at an input's size.

    Smaller crops are not enlarged, which would blur them. The Laplacian is that of 4 neighbors (Pech-Pacheco et al.,
    "Diatom autofocusing in brightfield microscopy", 2000).
    """
    height, width = pixels_rgb.shape[:2]
    gray = resize(pixels_rgb, min(height, spec.height), min(width, spec.width), spec.resize).mean(axis=0)
    around = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
    return float(np.var(around - 4 * gray[1:-1, 1:-1]))


def _touches_the_edge(product: Product) -> bool:
    if product.box_xyxy is None:
        return False
    x1, y1, x2, y2 = product.box_xyxy
    return min(x1, y1, product.width - x2, product.height - y2) <= _AT_THE_EDGE
