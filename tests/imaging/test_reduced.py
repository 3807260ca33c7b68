"""Reduced images: means of the pixels that they cover, and their PNG."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from shitu_edge.imaging.reduced import png, reduced


def test_reduced_is_the_mean_of_whole_blocks() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (72, 128, 3), np.uint8)
    means = pixels.reshape(18, 4, 32, 4, 3).mean(axis=(1, 3))
    assert np.abs(reduced(pixels, 18, 32) - means).max() <= 1


def test_reduced_keeps_the_mean_of_any_size_and_of_a_part() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (301, 517, 3), np.uint8)
    for part in (pixels, pixels[40:290, 30:500]):
        small = reduced(part, 53, 97)
        assert small.shape == (53, 97, 3)
        np.testing.assert_allclose(small.mean(axis=(0, 1)), part.mean(axis=(0, 1)), atol=1)


def test_png_holds_the_same_pixels() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (9, 14, 3), np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(png(pixels)))), pixels)
