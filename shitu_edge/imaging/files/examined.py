"""What is known of an image file before it is decoded, and why one is refused."""

from __future__ import annotations

from dataclasses import dataclass

USUAL_BYTES_PER_PIXEL = 7
"""Four that Pillow keeps per pixel, and three of the RGB array beside them."""


class RefusedError(Exception):
    """An image is not read; the message is a reason that goes after its name."""


class TruncatedError(RefusedError):
    """A part of an image file is missing."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("cannot be decoded: image file is truncated" + (f" ({detail})" if detail else ""))


@dataclass(frozen=True, slots=True)
class Examined:
    """An image file as its decoder gets it.

    `content` holds the first image alone, without metadata. `orientation` is that of EXIF, 1 without; None means that
    the decoder knows it. `width` × `height` are the stored pixels, None where Pillow reads them without allocating any.
    `bytes_per_pixel` is the memory that decoding takes at its peak, without the file itself.
    """

    content: bytes
    orientation: int | None = 1
    width: int | None = None
    height: int | None = None
    bytes_per_pixel: int = USUAL_BYTES_PER_PIXEL
