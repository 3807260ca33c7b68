"""AVIF and HEIC files by structure (ISO/IEC 14496-12): without EXIF, whose orientation is not used there."""

from __future__ import annotations

from .examined import Examined

_MAX_BOXES = 1024
_AVIF_BYTES_PER_PIXEL = 16
_HEIC_BYTES_PER_PIXEL = 12
"""Measured, with alpha: planes, their RGB, the copy that Pillow gets, and Pillow's own."""


def examine_avif(content: bytes) -> Examined:
    """Return an AVIF file without EXIF."""
    return Examined(_without_exif(content), orientation=None, bytes_per_pixel=_AVIF_BYTES_PER_PIXEL)


def examine_heic(content: bytes) -> Examined:
    """Return a HEIC file without EXIF."""
    return Examined(_without_exif(content), orientation=None, bytes_per_pixel=_HEIC_BYTES_PER_PIXEL)


def _without_exif(content: bytes) -> bytes:
    """Return the file with the type of EXIF items replaced by an unknown one.

    Rotations are properties (ISO/IEC 23008-12, 6.5.10 and 6.5.12), which decoders apply.
    """
    position = 0
    for _ in range(_MAX_BOXES):
        size, kind = int.from_bytes(content[position : position + 4], "big"), content[position + 4 : position + 8]
        if size < 8:  # the last box, or one of more than 4 GiB
            break
        if kind == b"meta":
            meta = content[position : position + size].replace(b"Exif", b"free")
            return content[:position] + meta + content[position + size :]
        position += size
    return content
