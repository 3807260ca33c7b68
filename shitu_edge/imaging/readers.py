"""Pillow's readers by format, and what to do about formats that have none here."""

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

# Named here, so that Pillow neither looks for nor loads its forty others, and an error keeps its reason.
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
"""What every Pillow reads. AVIF takes one that was built with it, HEIC takes pillow-heif."""


def reader(image_format: str | None) -> Reader:
    """Return Pillow's reader for a format that `formats.image_format` names.

    Raises:
        RefusedError: it is read by none; the message says what to install, or what to save the image as.
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
