"""Resizing and normalising that equals the reference, without its library. Pure.

PP-ShiTu was trained behind OpenCV's `resize`, which takes 2 (bilinear) or 4 (cubic, a = -0.75) neighbours around
half-pixel centres and does *not* average when it shrinks; Pillow's does, and networks see the difference. Here a
resize is a row of products with narrow banded matrices (a block of outputs depends on a short run of inputs), so BLAS
does the work; only the rows of the bilinear one are mixed in the integers that OpenCV computes with. Bilinear is
equal to OpenCV bit for bit and cubic to one grey level (`tests/test_resample.py`), at the speed of resizing in the
engine's graph (`benchmarks/resample.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .blas import SMALL_PRODUCT

Kernel = Literal["bilinear", "cubic"]
Pixels = NDArray[np.uint8]
Planes = NDArray[np.float32]

_CHANNELS = 3
_CUBIC_A = -0.75
_BLOCK = 8
"""Output positions a band: wide enough for BLAS, narrow enough to multiply few zeros (8 beat 16 and 32)."""

# OpenCV's bilinear resize of 8-bit pixels (`modules/imgproc/src/resize.cpp`, `VResizeLinear`): weights are multiples of
# 2^-11; columns first, then rows, where each of the two products is cut off after 2 bits below the grey level.
_FIXED_ONE = 1 << 11
_CUT_COLUMNS, _CUT_ROWS, _CUT_LAST = 4, 16, 2


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of a resize. `gather` lists the only input positions that are read, None when that is nearly all.

    `positions` and `weights` (target, taps) say what each output is made of, by position after gathering.
    """

    gather: NDArray[np.intp] | None
    positions: NDArray[np.intp]
    weights: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Bands:
    """Bands of `_BLOCK` outputs: band b is `matrices[b]` (`_BLOCK`, span) times the inputs from `first[b]` on.

    `matrices_rgb[b]` (3 · span, 3 · `_BLOCK`) are the same weights from interleaved pixels to planes.
    """

    first: list[int]
    span: int
    matrices: Planes
    matrices_rgb: Planes


def resize(image_rgb: Pixels, height: int, width: int, kernel: Kernel, out: Planes | None = None) -> Planes:
    """Resize like `cv2.resize` and return planes (3, height, width) float32 holding whole grey levels 0..255.

    Args:
        image_rgb: (H, W, 3) uint8, any strides.
        kernel: `bilinear` is cv2.INTER_LINEAR, `cubic` is cv2.INTER_CUBIC.
        out: where to write, to spare the allocation.
    """
    rows, columns = _axis(image_rgb.shape[0], height, kernel), _axis(image_rgb.shape[1], width, kernel)
    row_bands = _bands(image_rgb.shape[0], height, kernel) if kernel == "cubic" else None
    column_bands = _bands(image_rgb.shape[1], width, kernel)
    if rows.gather is not None:
        image_rgb = image_rgb.take(rows.gather, axis=0)
    if columns.gather is not None:
        image_rgb = image_rgb.take(columns.gather, axis=1)
    if out is None:
        out = np.empty((_CHANNELS, height, width), np.float32)
    if row_bands is None:
        return _mix_rows(_resize_columns(_interleaved(image_rgb), column_bands, width), rows, out)
    tall = _resize_rows(image_rgb, row_bands, height)
    _resize_columns(tall, column_bands, width, out)
    np.rint(out, out=out)
    return np.clip(out, 0, 255, out=out)


def normalise(planes: Planes, gain: NDArray[np.float32], bias: NDArray[np.float32]) -> Planes:
    """Scale planes (3, H, W) by `gain` and `bias` (3,) in place: `planes * gain + bias`, and return them."""
    planes *= gain[:, None, None]
    planes += bias[:, None, None]
    return planes


def _interleaved(image_rgb: Pixels) -> Pixels:
    return np.ascontiguousarray(image_rgb).reshape(len(image_rgb), -1)


def _resize_rows(image_rgb: Pixels, bands: _Bands, height: int) -> Planes:
    """Return interleaved rows (height, W · 3) of pixels (H, W, 3)."""
    length = image_rgb.shape[1] * _CHANNELS
    tall = np.empty((len(bands.first) * _BLOCK, length), np.float32)
    step = max(_BLOCK, SMALL_PRODUCT // (bands.span * _BLOCK))
    for band, first in enumerate(bands.first):
        source = image_rgb[first : first + bands.span].astype(np.float32).reshape(bands.span, -1)
        target = tall[band * _BLOCK : (band + 1) * _BLOCK]
        for start in range(0, length, step):
            piece = slice(start, start + step)
            np.matmul(bands.matrices[band], source[:, piece], out=target[:, piece])
    return tall[:height]


def _resize_columns(interleaved: Pixels | Planes, bands: _Bands, width: int, out: Planes | None = None) -> Planes:
    """Return planes (3, H, width) of interleaved rows (H, W · 3)."""
    height = len(interleaved)
    if out is None:
        out = np.empty((_CHANNELS, height, width), np.float32)
    step = max(_BLOCK, SMALL_PRODUCT // (bands.span * _CHANNELS * _BLOCK * _CHANNELS))
    for start in range(0, height, step):
        rows = slice(start, min(start + step, height))
        for band, first in enumerate(bands.first):
            taken = interleaved[rows, first * _CHANNELS : (first + bands.span) * _CHANNELS]
            mixed = taken.astype(np.float32, copy=False) @ bands.matrices_rgb[band]
            target = out[:, rows, band * _BLOCK : (band + 1) * _BLOCK]
            target[:] = mixed.reshape(-1, _CHANNELS, _BLOCK).transpose(1, 0, 2)[:, :, : target.shape[2]]
    return out


def _mix_rows(wide: Planes, rows: _Axis, out: Planes) -> Planes:
    """Mix pairs of rows of planes (3, H, W) as OpenCV's fixed-point arithmetic does."""
    levels = wide.astype(np.int32)
    levels >>= _CUT_COLUMNS
    total = np.full(out.shape, 1 << (_CUT_LAST - 1), np.int32)
    for tap in range(2):
        part = levels.take(rows.positions[:, tap], axis=1)
        part *= rows.weights[:, tap].astype(np.int32)[:, None]
        part >>= _CUT_ROWS
        total += part
    total >>= _CUT_LAST
    out[:] = total
    return out


@lru_cache(maxsize=64)
def _axis(source: int, target: int, kernel: Kernel) -> _Axis:
    positions, weights = _bilinear_taps(source, target) if kernel == "bilinear" else _cubic_taps(source, target)
    used = np.unique(positions)
    if used.size >= 0.8 * source:
        return _Axis(None, positions, weights)
    return _Axis(used, np.searchsorted(used, positions), weights)


@lru_cache(maxsize=32)
def _bands(source: int, target: int, kernel: Kernel) -> _Bands:
    axis = _axis(source, target, kernel)
    length = source if axis.gather is None else axis.gather.size
    count = -(-target // _BLOCK)
    padding = ((0, count * _BLOCK - target), (0, 0))
    positions = np.pad(axis.positions, padding, mode="edge").reshape(count, _BLOCK, -1)
    weights = np.pad(axis.weights, padding).reshape(count, _BLOCK, -1)
    first = positions.min(axis=(1, 2))
    span = int((positions.max(axis=(1, 2)) - first).max()) + 1
    first = np.minimum(first, length - span)
    matrices = np.zeros((count, _BLOCK, span), np.float32)
    band, output = np.arange(count)[:, None, None], np.arange(_BLOCK)[None, :, None]
    np.add.at(matrices, (band, output, positions - first[:, None, None]), weights)
    rgb = np.zeros((count, span, _CHANNELS, _CHANNELS, _BLOCK), np.float32)
    for channel in range(_CHANNELS):
        rgb[:, :, channel, channel] = matrices.transpose(0, 2, 1)
    return _Bands(first.tolist(), span, matrices, rgb.reshape(count, span * _CHANNELS, _CHANNELS * _BLOCK))


def _bilinear_taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return input positions (target, 2) and OpenCV's weights, whole multiples of 1 / `_FIXED_ONE`."""
    centres = _centres(source, target).astype(np.float32)
    floors = np.floor(centres)
    right = centres - floors
    weights = np.rint(np.stack([1 - right, right], axis=1) * np.float32(_FIXED_ONE)).astype(np.float64)
    return _clipped(floors, range(2), source), weights


def _cubic_taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return input positions (target, 4) and weights of cubic convolution (Keys 1981) with a = -0.75."""
    centres = _centres(source, target)
    floors = np.floor(centres)
    offsets = range(-1, 3)
    distance = np.abs(floors[:, None] + offsets - centres[:, None])
    a = _CUBIC_A
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return _clipped(floors, offsets, source), np.where(distance <= 1, near, far)


def _centres(source: int, target: int) -> NDArray[np.float64]:
    """Return the input coordinate of each output's centre."""
    centres: NDArray[np.float64] = (np.arange(target, dtype=np.float64) + 0.5) * (1 / (target / source)) - 0.5
    return centres


def _clipped(floors: NDArray[np.floating[Any]], offsets: range, source: int) -> NDArray[np.intp]:
    """Return the positions around `floors`; those beyond an edge repeat it, as in OpenCV."""
    positions: NDArray[np.intp] = floors[:, None].astype(np.intp) + np.array(offsets)
    return np.clip(positions, 0, source - 1)
