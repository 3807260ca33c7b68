"""Facts about an image file before decoding, and errors of refused ones."""

from __future__ import annotations

from dataclasses import dataclass

USUAL_BYTES_PER_PIXEL = 7
"""Four of Pillow's image and three of the RGB array."""


class RefusedError(Exception):
    """An image is refused; the message is a predicate that follows its name."""


class TruncatedError(RefusedError):
    """A part of an image file is missing."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("cannot be decoded: image file is truncated" + (f" ({detail})" if detail else ""))


@dataclass(frozen=True, slots=True)
class Examined:
    """An image file as its decoder gets it.

    `content` is the first image without metadata. `orientation` is EXIF's, 1 without EXIF; None if the decoder applies
    it. `width` × `height` are the stored pixels, None if Pillow can read them without allocating. `bytes_per_pixel` is
    the peak memory of decoding, without the file.
    """

    content: bytes
    orientation: int | None = 1
    width: int | None = None
    height: int | None = None
    bytes_per_pixel: int = USUAL_BYTES_PER_PIXEL
