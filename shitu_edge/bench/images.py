"""Photos to recognize: the user's, or the package's scenes, as the bytes that a camera would deliver."""

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
        folder: of images, or one image; the package's scenes (1280 × 720 JPEG) when None.
        size: width and height in pixels that all are brought to, as JPEG; as they are when None.

    Raises:
        ImageError: there are none, or one cannot be read.
    """
    paths = [folder] if folder and folder.is_file() else images_in(folder or SAMPLES / "scenes").images
    for path in paths:  # all of them before the clock runs
        decode(path)
    images = [path.read_bytes() for path in paths]
    return resized(images, size) if size else images


def resized(images: Sequence[bytes], size: tuple[int, int]) -> list[bytes]:
    """Return encoded images as JPEG of another size, width and height in pixels."""
    return [_resized(image, size) for image in images]


def _resized(image: bytes, size: tuple[int, int]) -> bytes:
    stream = BytesIO()
    whole = Image.fromarray(decode(image).pixels_rgb)
    whole.resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def read_size(text: str) -> tuple[int, int]:
    """Read `1920x1080`.

    Raises:
        OptionError: it is none.
    """
    width, _, height = text.lower().replace("×", "x").partition("x")
    if not (width.isdecimal() and height.isdecimal() and 0 < int(width) * int(height) <= DecodeLimits().max_pixels):
        raise OptionError(f"{text}: expected WIDTHxHEIGHT in pixels, for instance 1920x1080")
    return int(width), int(height)
