"""Resizing and normalising that equals the reference, without its library. Pure.

PP-ShiTu was trained behind OpenCV's `resize`, which takes 2 (bilinear) or 4 (cubic, a = -0.75) neighbours around
half-pixel centres and does *not* average when it shrinks; Pillow's does, and networks see the difference. Both passes
are written here as products with narrow banded matrices: a block of output rows depends on a short run of input rows,
so BLAS does the work and the result equals OpenCV's to one grey level (`tests/test_resample.py`), at a speed close to
in-graph resizing (`benchmarks/resample.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kernel = Literal["bilinear", "cubic"]
Pixels = NDArray[np.uint8]
Planes = NDArray[np.float32]

_CUBIC_A = -0.75
_CHANNELS = 3


_BLOCK = 8
"""Output positions a band: wide enough for BLAS, narrow enough to multiply few zeros (8 beat 16 and 32)."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of a resize, in bands of `_BLOCK` output positions.

    Band b takes the `span` input positions from `first[b]` on, times `weights[b]` (`_BLOCK`, span). `weights_rgb[b]`
    (3 · span, 3 · `_BLOCK`) are the same weights from interleaved RGB to planes. `gather` lists the only input
    positions that are read at all, None when that is nearly all of them.
    """

    gather: NDArray[np.intp] | None
    first: list[int]
    span: int
    weights: Planes
    weights_rgb: Planes


def resize(image_rgb: Pixels, height: int, width: int, kernel: Kernel, out: Planes | None = None) -> Planes:
    """Resize like `cv2.resize` and return planes (3, height, width) float32 holding whole grey levels 0..255.

    Args:
        image_rgb: (H, W, 3) uint8, any strides.
        kernel: `bilinear` is cv2.INTER_LINEAR, `cubic` is cv2.INTER_CUBIC.
        out: where to write, to spare the allocation.
    """
    rows, columns = _axis(image_rgb.shape[0], height, kernel), _axis(image_rgb.shape[1], width, kernel)
    if rows.gather is not None:
        image_rgb = image_rgb.take(rows.gather, axis=0)
    if columns.gather is not None:
        image_rgb = image_rgb.take(columns.gather, axis=1)
    tall = np.empty((len(rows.first) * _BLOCK, image_rgb.shape[1] * _CHANNELS), np.float32)
    for band, first in enumerate(rows.first):
        source = image_rgb[first : first + rows.span].astype(np.float32).reshape(rows.span, -1)
        np.matmul(rows.weights[band], source, out=tall[band * _BLOCK : (band + 1) * _BLOCK])
    tall = tall[:height]
    if out is None:
        out = np.empty((_CHANNELS, height, width), np.float32)
    for band, first in enumerate(columns.first):
        source = tall[:, first * _CHANNELS : (first + columns.span) * _CHANNELS]
        planes = (source @ columns.weights_rgb[band]).reshape(height, _CHANNELS, _BLOCK).transpose(1, 0, 2)
        target = out[:, :, band * _BLOCK : (band + 1) * _BLOCK]
        target[:] = planes[:, :, : target.shape[2]]
    np.rint(out, out=out)
    return np.clip(out, 0, 255, out=out)


def normalise(planes: Planes, gain: NDArray[np.float32], bias: NDArray[np.float32]) -> Planes:
    """Scale planes (3, H, W) by `gain` and `bias` (3,) in place: `planes * gain + bias`, and return them."""
    planes *= gain[:, None, None]
    planes += bias[:, None, None]
    return planes


@lru_cache(maxsize=32)
def _axis(source: int, target: int, kernel: Kernel) -> _Axis:
    positions, weights = _taps(source, target, kernel)
    used = np.unique(positions)
    gather = None
    if used.size < 0.8 * source:
        gather, positions, source = used, np.searchsorted(used, positions), used.size
    bands = -(-target // _BLOCK)
    padding = ((0, bands * _BLOCK - target), (0, 0))
    positions = np.pad(positions, padding, mode="edge").reshape(bands, _BLOCK, -1)
    weights = np.pad(weights, padding).reshape(bands, _BLOCK, -1)
    first = positions.min(axis=(1, 2))
    span = int((positions.max(axis=(1, 2)) - first).max()) + 1
    first = np.minimum(first, source - span)
    matrix = np.zeros((bands, _BLOCK, span), np.float32)
    band, output = np.arange(bands)[:, None, None], np.arange(_BLOCK)[None, :, None]
    np.add.at(matrix, (band, output, positions - first[:, None, None]), weights)
    rgb = np.zeros((bands, span, _CHANNELS, _CHANNELS, _BLOCK), np.float32)
    for channel in range(_CHANNELS):
        rgb[:, :, channel, channel] = matrix.transpose(0, 2, 1)
    return _Axis(gather, first.tolist(), span, matrix, rgb.reshape(bands, span * _CHANNELS, _CHANNELS * _BLOCK))


def _taps(source: int, target: int, kernel: Kernel) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return input positions and weights (target, taps); outside positions repeat the edge, as OpenCV does."""
    centres = (np.arange(target) + 0.5) * (source / target) - 0.5
    floors = np.floor(centres).astype(np.intp)
    right = centres - floors
    if kernel == "bilinear":
        positions, weights = floors[:, None] + np.arange(2), np.stack([1 - right, right], axis=1)
    else:
        positions = floors[:, None] + np.arange(-1, 3)
        weights = _cubic(np.abs(positions - centres[:, None]))
    return np.clip(positions, 0, source - 1), weights


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic convolution (Keys, 1981) with a = -0.75 at distances 0..2."""
    a = _CUBIC_A
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, far)
