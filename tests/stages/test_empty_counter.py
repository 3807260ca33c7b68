"""The reference of an empty counter: its size, and what cannot be one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shitu_edge import EmptyCounter, ImageError, OptionError


@pytest.mark.parametrize(
    ("size", "expected"), [((720, 1280), (180, 320)), ((1280, 720), (320, 180)), ((320, 320), (320, 320))]
)
def test_of_keeps_a_small_image_of_the_same_shape(size: tuple[int, int], expected: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    empty = EmptyCounter.of(pixels)
    assert (empty.height, empty.width) == expected
    assert empty.pixels_rgb.shape == (*expected, 3)
    np.testing.assert_allclose(empty.pixels_rgb.mean(), pixels.mean(), atol=1)


def test_of_is_equal_for_equal_images_and_comes_back_from_its_png(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "empty.png")
    empty = EmptyCounter.of(tmp_path / "empty.png")
    assert empty == EmptyCounter.of(pixels)
    assert hash(empty) == hash(EmptyCounter.of(pixels))
    assert empty != EmptyCounter.of(255 - pixels)
    assert EmptyCounter.of(empty.png()) == empty
    assert len(repr(empty)) < 100


@pytest.mark.parametrize("size", [(180, 319), (10, 10), (31, 3200), (3400, 320)])
def test_of_refuses_an_image_that_is_too_small_or_too_long(size: tuple[int, int]) -> None:
    with pytest.raises(OptionError, match=f"^empty: expected an image .* found {size[1]} × {size[0]}$"):
        EmptyCounter.of(np.zeros((*size, 3), np.uint8))


def test_of_refuses_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        EmptyCounter.of(tmp_path / "missing.png")


@pytest.mark.parametrize(
    ("values", "message"),
    [((10, 10, b""), "content: expected 3 bytes per pixel"), ((0, 1, b""), "width"), ((1, 1, "abc"), "content")],
)
def test_empty_counter_refuses_values_that_do_not_fit(values: tuple[int, int, bytes], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        EmptyCounter(*values)
