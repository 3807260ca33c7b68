"""The image of an answer, as it was given: decoded for the answer, and again for each crop of it."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from ..results import Box
from ..system.digest import file_sha256
from .decode import DecodeLimits, Source, decode
from .extract import crop
from .regions import checked_boxes

_EVERY_PIXEL = 1 << 30
"""More than a side has: JPEGs are reduced only if they are over the limit of pixels."""


@dataclass(frozen=True, slots=True)
class Original:
    """An image as it was given; None for a stream, which can be read only once. `stamp` tells a file's versions apart.

    It holds a reference, not a copy: an array that its owner overwrites is cropped as it is then.
    """

    source: Source | None
    limits: DecodeLimits
    stamp: tuple[int, ...] | None

    @classmethod
    def of(cls, source: Source, limits: DecodeLimits) -> Original:
        """Remember an image before it is decoded."""
        return cls(None if hasattr(source, "read") else source, limits, _stamp(source))

    def crop(self, box_xyxy: Box) -> NDArray[np.uint8]:
        """Return a copy of the pixels inside a box; see `Recognition.crop`."""
        if self.source is None:
            raise ImageError("the image was a stream, which is read once: pass its bytes to recognize() to crop it")
        if self.stamp != _stamp(self.source):
            raise ImageError(f"{self.source!s}: has changed since it was recognized, so it cannot be cropped")
        decoded = decode(self.source, enough_side=_EVERY_PIXEL, limits=self.limits)
        (box,) = checked_boxes([box_xyxy], decoded)
        pixels: NDArray[np.uint8] = crop(decoded.pixels_rgb, box / np.array(decoded.scale * 2, np.float32)).copy()
        return pixels


def path_of(source: Source) -> str:
    """Return the path of an image that was given by one; else empty text."""
    return str(os.fspath(source)) if isinstance(source, (str, os.PathLike)) else ""


def source_sha256(source: Source) -> str:
    """Return the SHA-256 of an image's bytes in hexadecimal; empty for what is not encoded, or cannot be read again."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return hashlib.sha256(source).hexdigest()
    with suppress(OSError, ValueError):
        return file_sha256(Path(source)) if isinstance(source, (str, os.PathLike)) else ""
    return ""


def _stamp(source: Source | None) -> tuple[int, ...] | None:
    """Return what changes when a file is written again; None for what is not a file."""
    if not isinstance(source, (str, os.PathLike)):
        return None
    try:
        found = os.stat(source)
    except (OSError, ValueError):  # decoding says why
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
