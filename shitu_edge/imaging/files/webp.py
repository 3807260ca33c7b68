"""WebP files by structure (RFC 9649): the first image and its canvas, without metadata."""

from __future__ import annotations

import struct

from .examined import Examined, RefusedError, TruncatedError
from .exif import orientation

_MAX_CHUNKS = 65_536
_BYTES_PER_PIXEL = 16
"""Pillow's animation decoder holds two canvases in addition to the decoded bytes and Pillow's image."""
_METADATA_FLAGS = 0x20 | 0x08 | 0x04
"""ICC profile, EXIF, XMP."""
_IMAGE = frozenset({b"VP8 ", b"VP8L", b"ANMF"})


def examine(content: bytes) -> Examined:
    """Return a WebP's first image. Raises `RefusedError` if it is truncated, has no image or too many chunks."""
    end = 8 + int.from_bytes(content[4:8], "little")
    if end > len(content):
        raise TruncatedError()
    pieces: list[bytes] = []
    exif = xmp = size = None
    image_found = False
    position = 12
    for _ in range(_MAX_CHUNKS):
        if position + 8 > end:
            break
        kind, length = struct.unpack_from("<4sI", content, position)
        start, position = position + 8, position + 8 + length + (length & 1)
        if start + length > end:
            raise TruncatedError()
        chunk, body = content[start - 8 : position], content[start : start + length]
        if kind == b"VP8X" and len(body) >= 10 and not pieces:
            size = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
            chunk = chunk[:8] + bytes([body[0] & ~_METADATA_FLAGS]) + chunk[9:]
        elif kind in _IMAGE:
            if image_found:
                continue
            image_found = True
            size = size or _size_of_image(kind, body)
        elif kind not in (b"ANIM", b"ALPH"):
            exif = body if kind == b"EXIF" else exif
            xmp = body if kind == b"XMP " else xmp
            continue
        pieces.append(chunk)
    else:
        raise RefusedError(f"is a WebP of more than {_MAX_CHUNKS} chunks")
    if size is None or not image_found:
        raise RefusedError("is a WebP without an image")
    data = b"".join(pieces)
    whole = struct.pack("<4sI4s", b"RIFF", 4 + len(data), b"WEBP") + data
    return Examined(whole, orientation(exif, xmp), *size, _BYTES_PER_PIXEL)


def _size_of_image(kind: bytes, body: bytes) -> tuple[int, int]:
    """Return the size of an image without a canvas, 14 bits per side."""
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a" and len(body) >= 10:
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and body[:1] == b"\x2f" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise RefusedError("cannot be decoded: its WebP header is damaged")
