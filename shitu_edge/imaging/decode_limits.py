"""Limits on the size of images."""

from __future__ import annotations

from dataclasses import dataclass

from ..ranges import require_whole
from .files import RefusedError

_BYTES_PER_PIXEL = 8
_ALWAYS = 64 << 20
"""Bytes of memory that every image may take."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Most bytes of an encoded image, most pixels of a decoded one.

    Decoding takes at most 8 bytes of memory per pixel of `max_pixels`, plus four times the file and 128 MiB. Files that
    need more per pixel may have fewer pixels: WebP, AVIF and HEIC, JPEGs of several scans in full color, PNG with 16
    bits per channel, TIFF compressed in large parts. JPEGs of one scan, decoded at reduced scale, may have four times
    as many.
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 80_000_000

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            OptionError: a limit is not a whole number of at least 1.
        """
        require_whole("max_bytes", self.max_bytes, 1)
        require_whole("max_pixels", self.max_pixels, 1)

    def require(self, width: int, height: int, bytes_per_pixel: int = _BYTES_PER_PIXEL) -> None:
        """Check the size of an image. Raises `RefusedError` if it has no pixels, or too many."""
        if width < 1 or height < 1:
            raise RefusedError(f"has no pixels ({width} × {height})")
        in_memory = max(self.max_pixels * _BYTES_PER_PIXEL, _ALWAYS) // bytes_per_pixel
        for allowed, of_such in ((self.max_pixels, ""), (in_memory, ", the limit for files of this kind")):
            if width * height > allowed:
                raise RefusedError(
                    f"{width} × {height} pixels are more than {allowed}{of_such};  "
                    "a larger DecodeLimits.max_pixels or --max-megapixels allows them"
                )
