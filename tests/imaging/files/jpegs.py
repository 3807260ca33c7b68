"""Whole JPEGs of every coding that cameras and programs write, each small, and parts of them."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
END = b"\xff\xd9"


def drawn(height: int = 120, width: int = 168) -> Pixels:
    """Return waves with a little noise, so that every block has details."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + y / 13), np.cos(x / 11 - y / 7), np.sin(y / 8) + x / width - 0.5]
    noise = np.random.default_rng(3).normal(0, 4, (height, width, 3))
    return np.clip(np.stack([127 + 90 * wave for wave in waves], axis=2) + noise, 0, 255).astype(np.uint8)


def encoded(pixels: Pixels | Image.Image, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segments(content: bytes, *segments: bytes) -> bytes:
    """Return a JPEG with segments behind its first marker."""
    return content[:2] + b"".join(segments) + content[2:]


def without(content: bytes, marker: int) -> bytes:
    """Return a JPEG without the segments of a marker before its scan."""
    kept, position = [content[:2]], 2
    while content[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        if content[position + 1] != marker:
            kept.append(content[position:end])
        position = end
    return b"".join(kept) + content[position:]


def last_scan(content: bytes) -> int:
    """Return where the data of the last scan begin."""
    start = content.rindex(b"\xff\xda")
    return start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")


def of_three_scans() -> bytes:
    """Return a baseline JPEG whose channels come one after another: three gray ones put together."""
    planes = [encoded(np.ascontiguousarray(plane)) for plane in drawn().transpose(2, 0, 1)]
    first, header = planes[0], planes[0].index(b"\xff\xc0")
    scan = first.rindex(b"\xff\xda")
    frame = first[header + 4 : header + 9] + bytes([3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    tables = first[2:header] + segment(0xC0, frame) + first[header + 13 : scan]
    scans = (
        segment(0xDA, bytes([1, number, 0, 0, 63, 0])) + plane[last_scan(plane) : -2]
        for number, plane in enumerate(planes, start=1)
    )
    return first[:2] + tables + b"".join(scans) + END


WHOLE: dict[str, bytes] = {
    "4:2:0": encoded(drawn()),
    "4:2:2": encoded(drawn(), subsampling="4:2:2"),
    "4:4:4": encoded(drawn(), subsampling="4:4:4", quality=95),
    "gray": encoded(drawn()[:, :, 0]),
    "CMYK": encoded(Image.fromarray(drawn()).convert("CMYK")),
    "tables of its own": encoded(drawn(), optimize=True),
    "without tables, as MJPEG": without(encoded(drawn()), 0xC4),
    "restarts by row": encoded(drawn(), restart_marker_rows=1),
    "restarts by block": encoded(drawn(), restart_marker_blocks=1),
    "progressive": encoded(drawn(), progressive=True),
    "progressive 4:4:4": encoded(drawn(), progressive=True, subsampling="4:4:4", quality=95),
    "progressive with restarts": encoded(drawn(), progressive=True, restart_marker_rows=2),
    "three scans": of_three_scans(),
}
