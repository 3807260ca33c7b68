"""PNG files by structure (ISO/IEC 15948): the chunks that pixels need, and the orientation."""

from __future__ import annotations

import re
import struct
import zlib
from binascii import Error, unhexlify
from collections.abc import Iterator

from .examined import USUAL_BYTES_PER_PIXEL, Examined, RefusedError, TruncatedError
from .exif import orientation

_MAX_CHUNKS = 65_536
_MAX_TEXT = 1 << 20
_SIGNATURE = 8
_FOR_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By color type."""
_XMP = b"XML:com.adobe.xmp\0"
_EXIF_AS_TEXT = b"Raw profile type exif\0"
"""As ImageMagick writes it."""


def examine(content: bytes) -> Examined:
    """Return a PNG with the chunks that its pixels need; of an animated one the default image.

    Raises:
        RefusedError: it is truncated, a checksum before the pixels is wrong, or it has too many chunks.
    """
    pieces = [content[:_SIGNATURE]]
    metadata = _Metadata()
    for kind, start, end in _chunks(content):
        if (len(pieces) == 1) != (kind == b"IHDR"):
            raise RefusedError("cannot be decoded: its PNG header is out of place")
        if kind in _FOR_PIXELS:
            pieces.append(content[start:end])
        else:
            metadata.take(kind, content, start + 8, end - 4)
    if len(pieces) == 1 or len(pieces[1]) < 25:
        raise TruncatedError()
    pieces.append(struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND")))
    width, height, bits, color_type = struct.unpack_from(">IIBB", pieces[1], 8)
    # Twice a pixel's unpacked bytes: more than the memory, for the time that 16 bits per channel take.
    cost = bits * _CHANNELS.get(color_type, 1) // 4
    return Examined(
        b"".join(pieces),
        orientation(metadata.exif, metadata.xmp),
        width,
        height,
        max(USUAL_BYTES_PER_PIXEL, cost),
    )


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of the chunks before IEND; without IEND, the decoder finds missing pixels."""
    position, in_pixels = _SIGNATURE, False
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(content):
            return
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if end > len(content):
            raise TruncatedError()
        in_pixels = in_pixels or kind == b"IDAT"
        checksum = int.from_bytes(content[end - 4 : end], "big")
        if not in_pixels and zlib.crc32(memoryview(content)[position + 4 : end - 4]) != checksum:
            name = repr(kind)[2:-1]
            raise RefusedError(f"cannot be decoded: checksum mismatch in its PNG chunk {name}; copy the file again")
        if kind == b"IEND":
            return
        yield kind, position, end
        position = end
    raise RefusedError(f"is a PNG of more than {_MAX_CHUNKS} chunks")


class _Metadata:
    """EXIF and XMP, as chunks or in text."""

    def __init__(self) -> None:
        self.exif: bytes | None = None
        self.xmp: bytes | None = None

    def take(self, kind: bytes, content: bytes, start: int, end: int) -> None:
        """Keep the metadata of a chunk with this body."""
        if kind == b"eXIf":
            self.exif = content[start:end]
        elif kind == b"iTXt" and content.startswith(_XMP, start, end):
            packed, text = content[start + len(_XMP)], content[start + len(_XMP) + 2 : end].split(b"\0", 2)[-1]
            self.xmp = _inflated(text) if packed else text
        elif kind in (b"tEXt", b"zTXt") and content.startswith(_EXIF_AS_TEXT, start, end) and self.exif is None:
            text = content[start + len(_EXIF_AS_TEXT) : end]
            self.exif = _from_hexadecimal(_inflated(text[1:]) if kind == b"zTXt" else text)


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, _MAX_TEXT)
    except zlib.error:
        return b""


def _from_hexadecimal(text: bytes) -> bytes | None:
    """Return the hexadecimal bytes after three header lines."""
    try:
        return unhexlify(re.sub(rb"\s", b"", text.split(b"\n", 3)[-1]))
    except Error:
        return None
