"""The empty counter of a mounted camera: a small image of it, which later ones are compared with."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..errors import OptionError
from ..imaging.geometry import Pixels
from ..imaging.reduced import png, reduced
from ..ranges import require_instance, require_whole
from .decode import DEFAULT_LIMITS, DecodeLimits, Source, decode

LONGEST_SIDE = 320
"""Pixels of the reference: with 480, background is told from products no better (`benchmarks/background.py`)."""
_LEAST_SIDE = 32
"""Pixels of the reference's shorter side."""


@dataclass(frozen=True, slots=True)
class EmptyCounter:
    """What a mounted camera sees when nothing lies on the counter; most callers want `EmptyCounter.of`.

    Attributes:
        width, height: in pixels, the longer one `LONGEST_SIDE`.
        content: rows of RGB, a byte each.
    """

    width: int
    height: int
    content: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Check the size; raises `OptionError`."""
        require_whole("width", self.width, 1, LONGEST_SIDE)
        require_whole("height", self.height, 1, LONGEST_SIDE)
        require_instance("content", self.content, bytes, "bytes")
        if len(self.content) != self.width * self.height * 3:
            raise OptionError(f"content: expected 3 bytes per pixel, found {len(self.content)}")

    @classmethod
    def of(cls, image: Source, *, limits: DecodeLimits = DEFAULT_LIMITS) -> EmptyCounter:
        """Make a reference of an image of the empty counter, upright as all of the camera's.

        Raises:
            ImageError: the image cannot be used.
            OptionError: it is too small, or more than ten times as long as wide.
        """
        return cls.of_pixels(decode(image, enough_side=LONGEST_SIDE, limits=limits).pixels_rgb)

    @classmethod
    def of_pixels(cls, pixels_rgb: Pixels) -> EmptyCounter:
        """Make a reference of pixels (H, W, 3) uint8 RGB; raises as `of`."""
        height, width = pixels_rgb.shape[:2]
        scale = LONGEST_SIDE / max(height, width)
        small = (round(height * scale), round(width * scale))
        if scale > 1 or min(small) < _LEAST_SIDE:
            raise OptionError(
                f"empty: expected an image of the empty counter of at least {LONGEST_SIDE} pixels along its longer "
                f"side, and at most ten times as long as wide, found {width} × {height}"
            )
        return cls(small[1], small[0], reduced(pixels_rgb, *small).tobytes())

    @property
    def pixels_rgb(self) -> Pixels:
        """The image, (height, width, 3) uint8 RGB; read-only."""
        return np.frombuffer(self.content, np.uint8).reshape(self.height, self.width, 3)

    def reduced(self, pixels_rgb: Pixels) -> Pixels:
        """Return another image's pixels (H, W, 3) uint8 RGB in the size of this one."""
        return reduced(pixels_rgb, self.height, self.width)

    def png(self) -> bytes:
        """Return the image as a PNG, for a file."""
        return png(self.pixels_rgb)
