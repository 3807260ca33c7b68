"""Image files made to take time or memory: each small or common to look at, and what must become of it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from tests.imaging.files.jpegs import END, encoded, segment, with_segments
from tests.imaging.files.test_other_formats import GRAY, canvas, chunk, gif_with, png_with, run_length_bmp, tiff, webp

MIB = 1 << 20
SIDE = 8900
"""Of an image just within the limit of 80 megapixels."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """`verdict` is a pattern that the error has, or the size of the image that is read."""

    make: Callable[[], bytes]
    verdict: str | tuple[int, int]


def flat_png(bits: int, color_type: int, channels: int, rows: int = SIDE) -> bytes:
    """Return a PNG of `SIDE` × `SIDE` zeros, or what it has of rows: alpha is 0 everywhere, if it has any."""
    packer = zlib.compressobj(9)
    row = bytes(1 + SIDE * channels * bits // 8)
    packed = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", SIDE, SIDE, bits, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def flat(mode: str, file_format: str, side: int = SIDE, **options: Any) -> bytes:
    stream = BytesIO()
    Image.new(mode, (side, side)).save(stream, file_format, **options)
    return stream.getvalue()


def of_size(content: bytes, marker: bytes, width: int, height: int) -> bytes:
    """Return a JPEG that claims another size."""
    at = content.index(marker) + 5
    return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]


def scans(count: int, width: int, height: int) -> bytes:
    """Return a progressive JPEG of so many scans, none of which says anything."""
    whole = of_size(encoded(np.full((64, 64), 90, np.uint8), progressive=True), b"\xff\xc2", width, height)
    return whole[:-2] + whole[whole.rindex(b"\xff\xda") : -2] * count + END


SMALL = encoded(np.full((64, 64, 3), 90, np.uint8))
EMPTY_EXIF = segment(0xE1, b"Exif\0\0" + bytes(12))
ORIENTATIONS = b"II*\0" + struct.pack("<IHHHII4x", 8, 1, 0x0112, 5, 7_000_000, 26) + bytes(56_000_000)


def long_tiff(tag: int, kind: int, size: int, count: int) -> bytes:
    kept = tuple(entry for entry in GRAY if entry[0] != tag)
    return tiff(*kept, (tag, kind, count, -1), data=bytes(12 + size * count))


HOSTILE: dict[str, Hostile] = {
    "JPEG of 20 000 scans": Hostile(lambda: scans(20_000, 1920, 1080), "501 or more scans"),
    "JPEG of 10 000 scans of 79 megapixels": Hostile(lambda: scans(10_000, SIDE, SIDE), "or more scans, too many"),
    "JPEG of 4 MiB of EXIF": Hostile(lambda: with_segments(SMALL, EMPTY_EXIF * 190_000), "4096 segments"),
    "JPEG of large EXIF": Hostile(
        lambda: with_segments(SMALL, segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 900), (64, 64)
    ),
    "JPEG of application segments": Hostile(lambda: with_segments(SMALL, segment(0xE5, b"") * (15 * MIB)), "segments"),
    "JPEG of comments": Hostile(lambda: with_segments(SMALL, segment(0xFE, b"") * (15 * MIB)), "4096 segments"),
    "JPEG of fill bytes": Hostile(lambda: with_segments(SMALL, b"\xff" * (60 * MIB)), (64, 64)),
    "JPEG of fill bytes at the end": Hostile(lambda: SMALL[:-2] + b"\xff" * (60 * MIB) + END, (64, 64)),
    "JPEG of zeros at the end": Hostile(lambda: SMALL[:-2] + bytes(60 * MIB) + END, (64, 64)),
    "JPEG of restart markers": Hostile(lambda: SMALL[:-2] + b"\xff\xd0" * (30 * MIB) + END, "restart markers"),
    "JPEG that claims 79 megapixels": Hostile(lambda: of_size(SMALL, b"\xff\xc0", SIDE, SIDE), "truncated"),
    "JPEG of 79 megapixels of CMYK": Hostile(lambda: flat("CMYK", "JPEG"), (SIDE, SIDE)),
    "JPEG of 79 megapixels of full color in scans": Hostile(
        lambda: of_size(
            encoded(np.zeros((64, 64, 3), np.uint8), progressive=True, subsampling=0), b"\xff\xc2", SIDE, SIDE
        ),
        "more than 64000000, the limit for files of this kind",
    ),
    "PNG of 5 M chunks": Hostile(lambda: png_with(chunk(b"prVt", b"") * 5_000_000), "65536 chunks"),
    "PNG of 5 M parts": Hostile(lambda: png_with(chunk(b"IDAT", b"") * 5_000_000), "65536 chunks"),
    "PNG of 4 M texts at its end": Hostile(
        lambda: png_with(chunk(b"tEXt", b"a\0b") * 4_000_000, before=b"IEND"), "65536 chunks"
    ),
    "PNG of 7 M orientations": Hostile(lambda: png_with(chunk(b"eXIf", ORIENTATIONS)), (40, 24)),
    "PNG of 300 MiB of packed XMP": Hostile(
        lambda: png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(300 * MIB)))), (40, 24)
    ),
    "PNG of 79 megapixels with alpha": Hostile(lambda: flat_png(8, 6, 4), (SIDE, SIDE)),
    "PNG of 79 megapixels of 16 bits": Hostile(lambda: flat_png(16, 0, 1), (SIDE, SIDE)),
    "PNG of 79 megapixels of 4 × 16 bits": Hostile(
        lambda: flat_png(16, 6, 4, rows=9), "the limit for files of this kind"
    ),
    "WebP of a large canvas": Hostile(
        lambda: webp(canvas(16383, 16383), b"VP8L" + struct.pack("<IBI", 5, 0x2F, 0) + b"\0"), "pixels are more than"
    ),
    "WebP of 79 megapixels": Hostile(
        lambda: webp(canvas(SIDE, SIDE), b"VP8L" + struct.pack("<IBI", 5, 0x2F, 0) + b"\0"), "the limit for files"
    ),
    "WebP of 39 megapixels": Hostile(
        lambda: flat("RGBA", "WEBP", 6250, lossless=True, quality=0, method=0), (6250, 6250)
    ),
    "WebP of 7 M chunks": Hostile(lambda: webp(canvas(40, 24), (b"ABCD" + bytes(4)) * 7_000_000), "65536 chunks"),
    "TIFF of 7 M resolutions": Hostile(lambda: long_tiff(282, 5, 8, 7_000_000), (4, 3)),
    "TIFF of 14 M strips": Hostile(lambda: long_tiff(273, 4, 4, 14_000_000), "14000000 values in tag 273"),
    "TIFF of packed strips": Hostile(lambda: flat("RGB", "TIFF", compression="tiff_lzw"), (SIDE, SIDE)),
    "GIF of 60 MiB before its image": Hostile(lambda: gif_with(bytes(60 * MIB)), "65536 blocks"),
    "GIF of 30 M blocks": Hostile(lambda: gif_with(b"!\xff" + b"\x01a" * (30 * MIB) + b"\0"), "65536 blocks"),
    "BMP of 30 M runs": Hostile(lambda: run_length_bmp(8000, 8000, b"\1\2" * (30 * MIB)), "run-length encoded"),
    "BMP of 64 megapixels of long runs": Hostile(lambda: run_length_bmp(8000, 8000, b"\xff\2" * 300_000), "run-length"),
}
