"""How far an image is shifted against another: phase correlation. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.float32]
"""Gray levels (h, w)."""

_FLAT = 1e-3
"""Share of the mean amplitude below which a frequency counts for little: it holds rounding errors."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """An image ready to be compared: its Fourier transform, faded out toward the edges, and its size."""

    values: NDArray[np.complex128]
    height: int
    width: int

    @classmethod
    def of(cls, gray: Gray) -> Spectrum:
        """Transform gray levels (h, w)."""
        height, width = gray.shape
        fade = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
        return cls(np.fft.rfft2((gray - gray.mean()) * fade), height, width)


def shift_between(before: Spectrum, after: Spectrum, most: int | None = None) -> tuple[int, int]:
    """Return by how many pixels to the right and down an image shows what another of its size shows.

    The phases of what both show differ by the shift alone, whatever the light; what one of them shows spreads over all
    shifts (Kuglin and Hines 1975, "The phase correlation image alignment method"). Of images with nothing in common the
    result is any shift.

    Args:
        before, after: images of the same size.
        most: pixels to look at in each direction; None for all shifts.
    """
    cross = np.conj(before.values) * after.values
    amplitude = np.abs(cross)
    cross /= amplitude + _FLAT * amplitude.mean() + np.finfo(np.float64).tiny
    found = np.fft.irfft2(cross, (before.height, before.width))
    if most is not None:
        for axis, length in enumerate(found.shape):
            found = np.take(found, [*range(min(most + 1, length)), *range(max(most + 1, length - most), length)], axis)
    down, right = np.unravel_index(int(found.argmax()), found.shape)
    return _signed(int(right), found.shape[1]), _signed(int(down), found.shape[0])


def _signed(place: int, length: int) -> int:
    """Return a cyclic shift as one of at most half the length to either side."""
    return place - length if place > length // 2 else place
