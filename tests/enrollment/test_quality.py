"""Faults of enrolled images, each of an image made to have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from shitu_edge.bundle import InputSpec
from shitu_edge.enrollment.quality import BLURRED, Look, look_of, sharpness
from shitu_edge.results import Box
from shitu_edge.stages.regions import Product

SPEC = InputSpec("x", 192, 192, "bilinear")
SAMPLE = Path(__file__).parents[2] / "examples" / "samples" / "gallery" / "Honey" / "1.jpg"


def _look(height: int, width: int, box: Box | None) -> Look:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return look_of(Product(pixels, box, 400, 300, "whole", pixels, None), SPEC)


@pytest.mark.parametrize(("side", "small"), [(47, True), (48, False)])
def test_look_of_shorter_side(side: int, small: bool) -> None:
    assert _look(100, side, None).small == small
    assert _look(side, 100, None).small == small


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((2, 2, 398, 298), False),
        ((1, 2, 398, 298), True),
        ((2, 0, 398, 298), True),
        ((2, 2, 399.5, 298), True),
        ((2, 2, 398, 300), True),
        (None, False),
    ],
)
def test_look_of_edges(box: Box | None, cut: bool) -> None:
    assert _look(100, 100, box).cut == cut


def test_blurred_photo_is_told_from_a_sharp_one() -> None:
    photo = Image.open(SAMPLE).convert("RGB")
    soft = photo.filter(ImageFilter.GaussianBlur(0.03 * min(photo.size)))
    assert sharpness(np.asarray(photo), SPEC) > 2 * BLURRED
    assert sharpness(np.asarray(soft), SPEC) < BLURRED


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    """Of an image that is not resized, with one bright pixel: -4, and 1 at its 4 neighbors, of 16 inner pixels."""
    pixels = np.zeros((6, 6, 3), np.uint8)
    pixels[2, 2] = 10
    values = np.array([-40, 10, 10, 10, 10, *[0] * 11])
    assert sharpness(pixels, InputSpec("x", 6, 6, "bilinear")) == pytest.approx(values.var(), rel=1e-5)


def test_small_crops_are_not_enlarged() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert sharpness(pixels, SPEC) == sharpness(pixels, InputSpec("x", 20, 30, "bilinear"))
