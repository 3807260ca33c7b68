"""Blank frames against drawn and real ones: noise and JPEG make no texture, and every real photo has some."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shitu_edge.imaging.texture import has_texture
from shitu_edge.stages.decode import decode

Pixels = NDArray[np.uint8]
SIZES = [(1080, 1920), (480, 640), (224, 224), (101, 37), (32, 32), (5, 9), (1, 1)]


def blank(size: tuple[int, int], level: int, noise: float, seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    levels = rng.normal(level, noise, (*size, 3))
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def through_jpeg(pixels: Pixels, quality: int) -> Pixels:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return decode(stream.getvalue()).pixels_rgb


@pytest.mark.parametrize("level", [0, 8, 128, 250, 255])
@pytest.mark.parametrize("size", SIZES, ids=repr)
def test_one_color_is_no_texture(size: tuple[int, int], level: int) -> None:
    assert not has_texture(blank(size, level, 0))


@pytest.mark.parametrize("noise", [2, 6, 10])
@pytest.mark.parametrize("level", [0, 8, 128, 250])
def test_a_sensors_noise_is_no_texture(level: int, noise: float) -> None:
    for size in ((480, 640), (224, 224)):
        pixels = blank(size, level, noise, seed=level)
        assert not has_texture(pixels)
        assert not any(has_texture(through_jpeg(pixels, quality)) for quality in (10, 50, 95))


@pytest.mark.parametrize("size", SIZES[:5], ids=repr)
def test_a_thing_of_a_sixteenth_is_texture(size: tuple[int, int]) -> None:
    """A pale thing on white, a quarter as wide and high as the image, in any corner."""
    height, width = size
    for bottom in (False, True):
        for right in (False, True):
            pixels = blank(size, 255, 0)
            rows = slice(height - height // 4, height) if bottom else slice(0, height // 4)
            columns = slice(width - width // 4, width) if right else slice(0, width // 4)
            pixels[rows, columns] = 225
            assert has_texture(pixels)


@pytest.mark.parametrize("size", SIZES[:5], ids=repr)
def test_a_fine_pattern_is_texture(size: tuple[int, int]) -> None:
    """Stripes and squares of a pixel: every part of it is as bright as the next one."""
    y, x = np.indices(size)
    for pattern in ((x // 3 + y // 3) % 2, (x // 5) % 2):
        levels = np.where(pattern, 90, 150).astype(np.uint8)
        assert has_texture(np.stack([levels] * 3, axis=2))


def test_pixels_may_be_a_view() -> None:
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[20:80, 50:90] = 255
    assert has_texture(pixels[10:100, 40:200])
    assert has_texture(pixels[::-1, ::2, ::-1])
    assert not has_texture(pixels[100:, 100:])


@pytest.mark.shared_data
def test_real_photos_have_texture(shared: Path) -> None:
    folders = [
        "grocery/images/iconic",
        "drinks/queries",
        "beverage/images",
        "trashnet/plastic",
        "beer_dev",
        "fridge_dev",
    ]
    photos = [path for folder in folders for path in sorted((shared / "data" / folder).rglob("*.jp*g"))]
    assert len(photos) > 500
    assert [path for path in photos if not has_texture(decode(path).pixels_rgb)] == []
