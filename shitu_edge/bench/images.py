"""Encoded photos to recognize: the user's, or the package's scenes."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from ..bundle.built_in import SAMPLES
from ..errors import OptionError
from ..inputs.folders import images_in
from ..stages.decode import DecodeLimits, decode

_QUALITY = 90


def load_images(folder: Path | None, size: tuple[int, int] | None) -> list[bytes]:
    """Return encoded images.

    Args:
        folder: of images, or one image; None: the package's scenes (1280 × 720 JPEG).
        size: width and height in pixels to which all are resized, as JPEG; None: unchanged.

    Raises:
        ImageError: there are no images, or one cannot be read.
    """
    paths = [folder] if folder and folder.is_file() else images_in(folder or SAMPLES / "scenes").images
    for path in paths:  # before the clock runs
        decode(path)
    images = [path.read_bytes() for path in paths]
    return resized(images, size) if size else images


def resized(images: Sequence[bytes], size: tuple[int, int]) -> list[bytes]:
    """Return encoded images resized to width and height in pixels, as JPEG."""
    return [_resized(image, size) for image in images]


def _resized(image: bytes, size: tuple[int, int]) -> bytes:
    stream = BytesIO()
    whole = Image.fromarray(decode(image).pixels_rgb)
    whole.resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def read_size(text: str) -> tuple[int, int]:
    """Parse a size such as `1920x1080`; raises `OptionError`."""
    width, _, height = text.lower().replace("×", "x").partition("x")
    if not (width.isdecimal() and height.isdecimal() and 0 < int(width) * int(height) <= DecodeLimits().max_pixels):
        raise OptionError(f"{text}: expected WIDTHxHEIGHT in pixels, for instance 1920x1080")
    return int(width), int(height)
