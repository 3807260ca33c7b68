"""Whether a mounted camera still sees what it saw when the empty counter was taken, or has moved. Pure.

Products that lie there and other light do not matter. Figures: `benchmarks/results/background.md`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..imaging.geometry import Pixels
from ..imaging.shift import Spectrum, shift_between
from ..imaging.windows import window_means
from .empty_counter import EmptyCounter

MoveState = Literal["in_place", "moved", "covered", "other_scene", "unclear"]

_WINDOW = 7
"""Pixels of the half-size reference per side of a window."""
_STRUCTURE = 16.0
"""Variance from which a window shows more than noise: 4 levels."""
_FEWEST, _ENOUGH = 0.007, 0.05
"""Shares of the reference's windows that have to show structure: to be recognized; and to be missed, for products may
hide a single poster.
"""
_CORRELATED = 0.6
"""Correlation from which a window shows the same as that of the reference."""
_BETTER = 0.1
"""By how much more has to agree elsewhere: a product may look like what belongs to the counter."""
_SAME_SCENE = 0.5
_OTHER_SCENE = 0.2
_IN_PLACE = 0.015
"""Shift, as a share of the longer side, that a small shake may have."""
_PLAIN = 0.05
"""Share of the image's windows with structure below which something covers the lens, or it is dark."""

_Gray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CameraMove:
    """How an image stands against the empty counter of its camera.

    Attributes:
        state: `in_place`; `moved`, by `shift_xy`; `covered`: hardly anything is to be seen; `other_scene`: hardly
            anything of the empty counter is; `unclear`: much lies in front of it, the camera was turned, or the empty
            counter is plain.
        shift_xy: how far what was in the middle has moved to the right and down, as shares of width and height.
        agreement: share of the empty counter's structure that is seen, 0..1.
    """

    state: MoveState
    shift_xy: tuple[float, float]
    agreement: float


def find_move(empty: EmptyCounter, pixels_rgb: Pixels) -> CameraMove:
    """Compare pixels (H, W, 3) uint8 RGB of a camera with its empty counter, in 4 ms per 1280 × 720 image.

    A single image may show hands, or more products than counter: ask again before anybody is called.
    """
    before, spectrum = _reference(empty)
    after = _half(empty.reduced(pixels_rgb))
    shift, agreement = (0, 0), _agreement(before, after, (0, 0))
    found = shift_between(spectrum, Spectrum.of(after))
    elsewhere = _agreement(before, after, found)
    if elsewhere > agreement + _BETTER:
        shift, agreement = found, elsewhere
    height, width = before.shape
    shift_xy = (shift[0] / width, shift[1] / height)
    distance = math.hypot(*shift) / max(height, width)
    return CameraMove(_state(before, after, distance, agreement), shift_xy, agreement)


def has_moved(empty: EmptyCounter, pixels_rgb: Pixels) -> bool:
    """Return whether pixels (H, W, 3) uint8 RGB show another part of the scene, or another scene; see `find_move`."""
    return find_move(empty, pixels_rgb).state in ("moved", "other_scene")


def _state(before: _Gray, after: _Gray, distance: float, agreement: float) -> MoveState:
    structure = (_variances(before) > _STRUCTURE).mean()
    if agreement >= _SAME_SCENE and structure >= _FEWEST:
        return "in_place" if distance <= _IN_PLACE else "moved"
    if agreement >= _OTHER_SCENE or structure < _ENOUGH:
        return "unclear"
    return "covered" if (_variances(after) > _STRUCTURE).mean() < _PLAIN else "other_scene"


@lru_cache(maxsize=8)
def _reference(empty: EmptyCounter) -> tuple[_Gray, Spectrum]:
    before = _half(empty.pixels_rgb)
    return before, Spectrum.of(before)


def _half(pixels_rgb: Pixels) -> _Gray:
    """Return gray levels at half the size."""
    height, width = (side // 2 * 2 for side in pixels_rgb.shape[:2])
    total = pixels_rgb[:height, :width].sum(axis=2, dtype=np.float32)
    half: _Gray = (total[::2, ::2] + total[1::2, ::2] + total[::2, 1::2] + total[1::2, 1::2]) / np.float32(12)
    return half


def _agreement(before: _Gray, after: _Gray, shift: tuple[int, int]) -> float:
    """Return the share of structure that is the same where both images show the same place, shifted."""
    right, down = shift
    height, width = before.shape
    if abs(right) > width - _WINDOW or abs(down) > height - _WINDOW:
        return 0.0
    one = before[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    other = after[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    means = window_means(np.stack([one, other, one * one, other * other, one * other]), _WINDOW)
    variance, others = means[2] - means[0] ** 2, means[3] - means[1] ** 2
    shows = variance > _STRUCTURE
    if not shows.any():
        return 0.0
    common = means[4] - means[0] * means[1]
    return float((common[shows] > _CORRELATED * np.sqrt(variance[shows] * np.maximum(others[shows], 1))).mean())


def _variances(gray: _Gray) -> NDArray[np.float64]:
    means = window_means(np.stack([gray, gray * gray]), _WINDOW)
    variances: NDArray[np.float64] = means[1] - means[0] ** 2
    return variances
