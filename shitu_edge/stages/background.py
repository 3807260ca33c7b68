"""Which boxes show just what the empty counter shows there: a poster, a lamp, a card reader.

An image and the reference are compared in windows by structure, not by brightness: exposure, white balance and shadows
change the one and hardly the other. Figures: `benchmarks/results/background.md`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..imaging.geometry import Boxes, Pixels
from ..imaging.shift import Spectrum, shift_between
from ..imaging.windows import window_means
from .empty_counter import EmptyCounter

WINDOW = 7
"""Pixels of the reference per side of a window. Each pixel of a box is the center of one."""
SHAKE = 8
"""Pixels of the reference by which the image may be shifted, in each direction: 2.5 % of the longer side."""
_NOISE = 60.0
"""Variance, over three colors, that noise and compression may add to a window: 4.5 levels per color."""
_LEAST_STRUCTURE = 48.0
"""Mean variance, over three colors, of the reference's windows in a box: 4 levels per color. If it shows less there,
what the detector has found is not in it.
"""
_CORRELATED = 0.8
"""Correlation over the whole box from which on both show the same."""
_AGREES = 0.65
_MAY_DIFFER = 0.1
"""All windows but this share have to agree by `_AGREES`."""
_TINT = 0.25
"""Largest change of a color against the others, as a logarithm, and against the whole box."""
_DARK = 16.0
"""Levels added, so that the colors of what is dark count less."""
_GAIN = 3.0
"""Largest factor between contrasts, in both directions."""

_STEPS = tuple(product(range(3), range(3)))

_Planes = NDArray[np.float32]
"""Gray levels of one or more colors or products of them, (n, h, w)."""


def background(empty: EmptyCounter, pixels_rgb: Pixels, boxes_xyxy: Boxes) -> NDArray[np.bool_]:
    """Return which boxes show just what the empty counter shows there (N,).

    What lies in front of it differs in structure from it, so its box, and one around it, is none of them; nor is a box
    where the empty counter is plain.

    Args:
        empty: the reference.
        pixels_rgb: an image (H, W, 3) uint8 RGB of the same camera.
        boxes_xyxy: (N, 4) in its pixels.
    """
    found = np.zeros(len(boxes_xyxy), bool)
    reference = _reference(empty)
    height, width = pixels_rgb.shape[:2]
    scale = np.array([empty.width / width, empty.height / height] * 2)
    boxes = np.rint(boxes_xyxy * scale).astype(int).tolist()
    possible = [number for number, box in enumerate(boxes) if reference.structure_in(box) >= _LEAST_STRUCTURE]
    if possible:
        seen = planes(empty.reduced(pixels_rgb))
        shift = shift_between(reference.spectrum, Spectrum.of(seen.sum(axis=0)), SHAKE)
        for number in possible:
            found[number] = _shows_the_same(seen, reference.colors, boxes[number], shift)
    return found


@dataclass(frozen=True, slots=True)
class _Reference:
    """The empty counter, ready to be compared with: its colors (3, h, w) and their spectrum."""

    colors: _Planes
    spectrum: Spectrum
    structure: NDArray[np.float64]
    """(h + 1, w + 1): sums over all pixels above and to the left of the variance of the window around each."""

    def structure_in(self, box: list[int]) -> float:
        """Return the mean variance of the windows in a box."""
        x1, y1, x2, y2 = box
        sums = self.structure
        total = float(sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1])
        return total / max(1, (x2 - x1) * (y2 - y1))


@lru_cache(maxsize=8)
def _reference(empty: EmptyCounter) -> _Reference:
    colors = planes(empty.pixels_rgb)
    around = np.pad(colors, ((0, 0), *[(WINDOW // 2, WINDOW // 2)] * 2), mode="edge")
    means = window_means(np.concatenate([around, (around**2).sum(axis=0, keepdims=True)]), WINDOW)
    variances = means[3] - (means[:3] ** 2).sum(axis=0)
    structure = np.pad(variances.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    return _Reference(colors, Spectrum.of(colors.sum(axis=0)), structure)


def _shows_the_same(seen: _Planes, empty: _Planes, box: list[int], shift: tuple[int, int]) -> bool:
    """Compare a box of an image with what the reference shows there, shifted; and by a pixel more, what fits best."""
    one = _around(seen, box, (0, 0), WINDOW // 2)
    wider = _around(empty, box, shift, WINDOW // 2 + 1)
    height, width = one.shape[1:]
    own, others = one.sum(axis=0), wider.sum(axis=0)
    fits = np.array([_correlation(own, others[y : y + height, x : x + width]) for y, x in _STEPS])
    y, x = _STEPS[int(fits.argmax())]
    return bool(fits.max() >= _CORRELATED) and _nearly_all(one, wider[:, y : y + height, x : x + width])


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the correlation of two patches (h, w)."""
    one, other = one - one.mean(), other - other.mean()
    return float(np.vdot(one, other)) / math.sqrt(float(np.vdot(one, one)) * float(np.vdot(other, other)) + 1)


def _nearly_all(one: _Planes, other: _Planes) -> bool:
    """Return whether nearly all windows of two patches (3, h, w) show the same."""
    return bool(same_windows(one, other).mean() >= 1 - _MAY_DIFFER)


def same_windows(one: _Planes, other: _Planes) -> NDArray[np.bool_]:
    """Return which windows inside two patches (3, h, w) show the same structure and tints, in any contrast.

    They are compared by the part of SSIM that leaves brightness out, (2 cov + c) / (var + var + c), over all colors
    (Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity").
    """
    products = [(one * other).sum(axis=0), (one * one).sum(axis=0), (other * other).sum(axis=0)]
    means = window_means(np.concatenate([one, other, np.stack(products)]), WINDOW)
    first, second = means[:3], means[3:6]
    common = means[6] - (first * second).sum(axis=0)
    own, others = means[7] - (first**2).sum(axis=0), means[8] - (second**2).sum(axis=0)
    gain = np.clip(np.sqrt(own.mean() / (others.mean() + 1)), 1 / _GAIN, _GAIN)
    agreement = (2 * gain * common + _NOISE) / (own + gain**2 * others + _NOISE)
    same: NDArray[np.bool_] = (agreement >= _AGREES) & (_tints(first, second) <= _TINT)
    return same


def _tints(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much the colors (3, h, w) of each window differ (h, w), whatever the light's color and shadows."""
    ratios = np.log((one + _DARK) / (other + _DARK))
    ratios -= ratios.mean(axis=0)
    ratios -= np.median(ratios, axis=(1, 2), keepdims=True)
    differences: NDArray[np.float64] = np.abs(ratios).max(axis=0)
    return differences


def planes(pixels_rgb: Pixels) -> _Planes:
    """Return pixels (h, w, 3) as (3, h, w) float32."""
    return np.ascontiguousarray(pixels_rgb.transpose(2, 0, 1), np.float32)


def _around(levels: _Planes, box: list[int], shift: tuple[int, int], margin: int) -> _Planes:
    """Return a box and a margin around it, shifted back; pixels beyond the edge repeat it."""
    x1, y1, x2, y2 = box
    height, width = levels.shape[1:]
    rows = np.clip(np.arange(y1 - margin, max(y2, y1 + 1) + margin) - shift[1], 0, height - 1)
    columns = np.clip(np.arange(x1 - margin, max(x2, x1 + 1) + margin) - shift[0], 0, width - 1)
    return levels[:, rows[:, None], columns]
