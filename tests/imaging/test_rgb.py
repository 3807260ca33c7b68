"""Images that do not show, and large ones strip by strip."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shitu_edge.errors import ImageError
from shitu_edge.imaging import rgb
from shitu_edge.imaging.rgb import rgb_pixels
from shitu_edge.stages.decode import decode

COLORS = np.random.default_rng(0).integers(0, 256, (30, 42, 3), np.uint8)
GRAY = COLORS[:, :, 0]


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def with_alpha(alpha: NDArray[np.uint8] | int) -> Image.Image:
    rgba = np.empty((*COLORS.shape[:2], 4), np.uint8)
    rgba[..., :3], rgba[..., 3] = COLORS, alpha
    return Image.fromarray(rgba)


def gray_with_alpha(alpha: int) -> Image.Image:
    image = Image.fromarray(GRAY).convert("LA")
    image.putalpha(alpha)
    return image


def bmp_v4(alpha: int) -> bytes:
    """Return a 32-bit BMP with masks for blue, green, red and alpha."""
    bgra = np.asarray(with_alpha(alpha))[::-1, :, [2, 1, 0, 3]]
    height, width = COLORS.shape[:2]
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, 0, 0, 0, 0, 0)
    masks = struct.pack("<IIIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, 0x73524742) + bytes(48)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + 108) + header + masks + bgra.tobytes()


@pytest.mark.parametrize(
    "content",
    [
        saved(with_alpha(0), "PNG"),
        saved(with_alpha(0), "WEBP", lossless=True, exact=True),
        saved(with_alpha(0), "TIFF"),
        saved(with_alpha(0), "TIFF", compression="tiff_lzw"),
        bmp_v4(0),
    ],
    ids=["PNG", "WebP", "TIFF", "TIFF LZW", "BMP V4"],
)
def test_a_file_whose_alpha_is_0_everywhere_has_its_colors(content: bytes) -> None:
    np.testing.assert_array_equal(decode(content).pixels_rgb, COLORS)


def test_a_gray_file_whose_alpha_is_0_everywhere_has_its_levels() -> None:
    np.testing.assert_array_equal(decode(saved(gray_with_alpha(0), "PNG")).pixels_rgb, np.stack([GRAY] * 3, axis=2))


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_a_palette_all_of_whose_colors_are_transparent_has_its_colors(file_format: str) -> None:
    """Of a GIF one color can be transparent: it is the only one here."""
    one = Image.new("P", (42, 30), 1)
    one.putpalette([9, 9, 9, 200, 30, 60])
    image = one if file_format == "GIF" else Image.fromarray(COLORS).quantize(16)
    transparency = 1 if file_format == "GIF" else bytes(16)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decode(saved(image, file_format, transparency=transparency)).pixels_rgb, expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La", "P", "L", "RGB"])
def test_a_pil_image_that_does_not_show_has_its_colors(mode: str) -> None:
    """Premultiplied modes have no colors left where alpha is 0: all of it is black, and says so."""
    image = {
        "RGBA": with_alpha(0),
        "LA": gray_with_alpha(0),
        "PA": Image.fromarray(COLORS).quantize(16).convert("PA"),
        "RGBa": with_alpha(0).convert("RGBa"),
        "La": gray_with_alpha(0).convert("La"),
        "P": Image.fromarray(COLORS).quantize(16),
        "L": Image.new("L", (42, 30), 77),
        "RGB": Image.new("RGB", (42, 30), (1, 2, 3)),
    }[mode]
    expected = np.asarray((image.convert("LA") if mode == "La" else image).convert("RGBA"))[:, :, :3]
    if mode == "PA":
        image.putalpha(0)
    image.info["transparency"] = {"P": bytes(256), "L": 77, "RGB": (1, 2, 3)}.get(mode)
    if image.info["transparency"] is None:
        del image.info["transparency"]
    found = decode(image).pixels_rgb
    np.testing.assert_array_equal(found, expected)
    assert found.any() == (mode not in ("RGBa", "La"))


@pytest.mark.parametrize("place", [(0, 0), (29, 41), (15, 20)])
def test_what_shows_at_one_pixel_is_laid_on_white(place: tuple[int, int]) -> None:
    alpha = np.zeros((30, 42), np.uint8)
    alpha[place] = 255
    found = decode(saved(with_alpha(alpha), "PNG")).pixels_rgb
    expected = np.full_like(COLORS, 255)
    expected[place] = COLORS[place]
    np.testing.assert_array_equal(found, expected)


def images() -> dict[str, Image.Image]:
    color = Image.fromarray(COLORS)
    levels = np.random.default_rng(1).integers(0, 65536, (30, 42))
    keyed = color.copy()
    keyed.info["transparency"] = tuple(COLORS[3, 3].tolist())
    return {
        **{mode: color.convert(mode) for mode in ("RGB", "L", "1", "P", "CMYK", "YCbCr", "HSV")},
        "RGBA": with_alpha(np.random.default_rng(2).integers(0, 256, (30, 42), np.uint8)),
        "RGBA that does not show": with_alpha(0),
        "RGBA that shows below": with_alpha(np.arange(30, dtype=np.uint8)[:, None] // 29 * 255),
        "LA": gray_with_alpha(99),
        "RGBa": with_alpha(120).convert("RGBa"),
        "La": gray_with_alpha(120).convert("La"),
        "I;16": Image.fromarray(levels.astype(np.uint16)),
        "I": Image.fromarray(levels.astype(np.int32)),
        "RGB with a transparent color": keyed,
    }


@pytest.mark.parametrize("name", images())
def test_strips_make_the_same_pixels_in_every_orientation(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    image = images()[name]
    for orientation in range(1, 9):
        at_once = rgb_pixels(image, orientation)
        for rows in (1, 7, 29):
            with monkeypatch.context() as patch:
                patch.setattr(rgb, "_STRIP_PIXELS", rows * image.width)
                np.testing.assert_array_equal(rgb_pixels(image, orientation), at_once)


def test_levels_beyond_16_bits_in_a_later_strip_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rgb, "_STRIP_PIXELS", 42)
    levels = np.zeros((30, 42), np.int32)
    levels[29, 41] = 65536
    with pytest.raises(ImageError, match="beyond 16 bits"):
        decode(Image.fromarray(levels))
