"""Pillow images → upright RGB pixels, strip by strip, without a second copy of a large image."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import PIL
from PIL import Image

from .geometry import Pixels

PILLOW = f"Pillow {PIL.__version__}"
"""What an answer's provenance says of Pillow."""

_STRIP_PIXELS = 1 << 22
"""A camera's image is one strip; larger images need at most 64 MiB in addition to their pixels and RGB."""
_WHITE = (255, 255, 255, 255)
_ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FROM_THE_END = frozenset({3, 4, 6, 7})
"""Orientations whose first stored row becomes the last row or column."""

_Convert = Callable[[Image.Image], Image.Image]


def rgb_pixels(image: Image.Image, orientation: int) -> Pixels:
    """Return the pixels (h, w, 3) uint8 of a loaded image, turned by its EXIF orientation.

    Alpha is laid on white, but ignored if it is 0 everywhere, as in some captures. 16 bits are reduced to 8.

    Raises:
        ValueError: its pixels are floating point or more than 16 bits.
    """
    to_rgb, turn = _conversion(image), _UPRIGHT.get(orientation)

    def upright(strip: Image.Image) -> Pixels:
        rgb = to_rgb(strip)
        return np.asarray(rgb if turn is None else rgb.transpose(turn))

    rows = _rows_per_strip(image)
    if rows >= image.height:
        return upright(image)
    sideways = is_sideways(orientation)
    shape = (image.width, image.height) if sideways else (image.height, image.width)
    pixels = np.empty((*shape, 3), np.uint8)
    along = pixels.swapaxes(0, 1) if sideways else pixels
    for top, strip in _strips(image):
        bottom = top + strip.height
        start, end = (image.height - bottom, image.height - top) if orientation in _FROM_THE_END else (top, bottom)
        turned = upright(strip)
        along[start:end] = turned.swapaxes(0, 1) if sideways else turned
    return pixels


def is_sideways(orientation: int) -> bool:
    """Whether an EXIF orientation swaps width and height."""
    return 5 <= orientation <= 8


def _rows_per_strip(image: Image.Image) -> int:
    return max(1, _STRIP_PIXELS // image.width)


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield the image in strips, each with its first row."""
    rows = _rows_per_strip(image)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _conversion(image: Image.Image) -> _Convert:
    """Return the function that converts an image's strips to RGB."""
    if image.mode.startswith("I"):
        return _from_16_bit
    if image.mode == "F":
        raise ValueError("pixels are floating point; save it with 8 or 16 bits per channel")
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return _on_white if _shows(image) else _colors_alone
    return lambda strip: strip if strip.mode == "RGB" else strip.convert("RGB")


def _shows(image: Image.Image) -> bool:
    """Whether any pixel is not fully transparent."""
    return any(_rgba(strip).getchannel("A").getextrema()[1] for _, strip in _strips(image))


def _rgba(strip: Image.Image) -> Image.Image:
    return (strip.convert("LA") if strip.mode == "La" else strip).convert("RGBA")


def _on_white(strip: Image.Image) -> Image.Image:
    colored = _rgba(strip)
    return Image.alpha_composite(Image.new("RGBA", colored.size, _WHITE), colored).convert("RGB")


def _colors_alone(strip: Image.Image) -> Image.Image:
    return _rgba(strip).convert("RGB")


def _from_16_bit(strip: Image.Image) -> Image.Image:
    levels = np.asarray(strip)
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError("gray levels are beyond 16 bits; save it with 8 or 16 bits per channel")
    return Image.fromarray(((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)).convert("RGB")
