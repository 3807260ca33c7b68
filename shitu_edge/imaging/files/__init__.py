"""Checks of image files before decoding: complete, of bounded cost, reduced to what the pixels need.

Each format has a module with `examine(content) -> Examined`. None decodes: damaged metadata, many small segments and
later frames never reach a decoder, and the memory for decoding is known in advance.
"""

from __future__ import annotations

from collections.abc import Callable

from . import bmp, gif, iso_media, jpeg, png, tiff, webp
from .examined import Examined, RefusedError, TruncatedError
from .jpeg import Jpeg

__all__ = ["Examined", "Jpeg", "RefusedError", "TruncatedError", "examine"]

_EXAMINERS: dict[str, Callable[[bytes], Examined]] = {
    "JPEG": jpeg.examine,
    "PNG": png.examine,
    "WEBP": webp.examine,
    "TIFF": tiff.examine,
    "BigTIFF": tiff.examine,
    "GIF": gif.examine,
    "BMP": bmp.examine,
    "AVIF": iso_media.examine_avif,
    "HEIC": iso_media.examine_heic,
}


def examine(image_format: str | None, content: bytes) -> Examined:
    """Return an image file as its decoder gets it; formats as in `formats.image_format`.

    Raises:
        RefusedError: it is damaged, incomplete or exceeds a limit.
    """
    examiner = _EXAMINERS.get(image_format or "")
    return examiner(content) if examiner else Examined(content)
