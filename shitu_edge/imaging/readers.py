"""Pillow's readers by format, and hints for formats without one."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, BinaryIO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from .files import RefusedError

Reader = Callable[[BinaryIO], ImageFile.ImageFile]

# Named, so that Pillow does not load its forty others, and errors keep their reason.
_READERS: dict[str, Reader] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
_SAME_READER = {"BigTIFF": "TIFF"}
FORMATS = tuple(_READERS)
"""Formats that every Pillow reads. AVIF needs a Pillow built with it, HEIC needs pillow-heif."""


def reader(image_format: str | None) -> Reader:
    """Return Pillow's reader for a format of `formats.image_format`.

    Raises:
        RefusedError: there is none; the message says what to install or save the image as.
    """
    if image_format is None:
        raise RefusedError(f"is not an image in a known format ({', '.join(FORMATS)})")
    if image_format == "AVIF":
        return _avif()
    if image_format == "HEIC":
        return _heif()
    known = _READERS.get(_SAME_READER.get(image_format, image_format))
    if known is None:
        raise RefusedError(f"is {image_format}, which is not supported; save it as JPEG or PNG")
    return known


def _avif() -> Reader:
    if "avif" not in features.modules or not features.check("avif"):
        raise RefusedError(
            "is AVIF, which this Pillow does not support; pip install --upgrade pillow, or save it as JPEG"
        )
    plugin: Any = import_module("PIL.AvifImagePlugin")  # older ones have none
    found: Reader = plugin.AvifImageFile
    return found


def _heif() -> Reader:
    try:
        import pillow_heif
    except ImportError as error:
        raise RefusedError("is HEIC, which needs pillow-heif; pip install pillow-heif, or save it as JPEG") from error
    found: Reader = pillow_heif.HeifImageFile
    return found
