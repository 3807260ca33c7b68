"""Resizing and normalizing as the networks were trained with: like OpenCV's `resize`.

It takes 2 (bilinear) or 4 (cubic, a = -0.75) neighbors around half-pixel centers and does *not* average when it
shrinks; Pillow's does, and networks see the difference. OpenCV itself is used if it is installed (`opencv.py`), in a
tenth of the time (`benchmarks/resample.py`), which is 5 % of a recognition by the official networks. Else a resize is a
row of products with narrow banded matrices (a block of outputs depends on a short run of inputs), so BLAS does the
work; only the rows of the bilinear one are mixed in OpenCV's integers. Both give the same gray levels: bilinear bit for
bit, cubic within one level (`tests/imaging/test_resample.py`).
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..system.blas import SMALL_PRODUCT
from .geometry import Pixels
from .opencv import opencv, opencv_version

Kernel = Literal["bilinear", "cubic"]
Planes = NDArray[np.float32]

_CHANNELS = 3
_CUBIC_A = -0.75
# Outputs a band: wide enough for BLAS, narrow enough to multiply few zeros. Cubic resizes go strip by strip, so that
# what lies between the two passes stays in the second-level cache. Chosen as the fastest right after an inference, when
# caches are cold.
_ROW_BLOCK = 8
_COLUMN_BLOCK = 16
_STRIP = 10 * _ROW_BLOCK

# OpenCV's bilinear resize of 8-bit pixels (`modules/imgproc/src/resize.cpp`, `VResizeLinear`): weights are multiples of
# 2^-11; columns first, then rows, where each of the two products is cut off after 2 bits below the gray level.
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
    """An axis in bands of outputs: band b is `matrices[b]` (outputs, span) times the inputs from `first[b]` on.

    `turned` are the same matrices transposed, for inputs that lie along rows: BLAS is a fifth faster on them.
    """

    first: list[int]
    span: int
    matrices: Planes
    turned: Planes


def resizer() -> str:
    """Return what resizes here: OpenCV with its version, or shitu-edge."""
    cv2 = opencv()
    return "shitu-edge" if cv2 is None else opencv_version(cv2)


def resize(
    image_rgb: Pixels,
    height: int,
    width: int,
    kernel: Kernel,
    out: Planes | None = None,
    gain: Planes | None = None,
    bias: Planes | None = None,
    workers: Executor | None = None,
    *,
    use_opencv: bool = True,
) -> Planes:
    """Resize like `cv2.resize`, then normalize, and return planes (3, height, width) float32.

    Args:
        image_rgb: (H, W, 3) uint8, any strides.
        kernel: `bilinear` is cv2.INTER_LINEAR, `cubic` is cv2.INTER_CUBIC.
        out: where to write, to spare the allocation.
        gain, bias: (3,) float32; planes hold `gray level * gain + bias` per channel. Without them, whole gray levels
            0..255.
        workers: threads that share a cubic resize without OpenCV, which has its own, if any.
        use_opencv: use OpenCV if it is installed.
    """
    if out is None:
        out = np.empty((_CHANNELS, height, width), np.float32)
    if use_opencv and (cv2 := opencv()):
        flag = cv2.INTER_LINEAR if kernel == "bilinear" else cv2.INTER_CUBIC
        levels = cv2.resize(image_rgb, (width, height), interpolation=flag)
        for plane, gray in zip(out, cv2.split(levels), strict=True):
            plane[:] = gray
        return normalize(out, gain, bias)
    rows, columns = _axis(image_rgb.shape[0], height, kernel), _axis(image_rgb.shape[1], width, kernel)
    column_bands = _bands(image_rgb.shape[1], width, kernel, _COLUMN_BLOCK)
    row_bands = _bands(image_rgb.shape[0], height, kernel, _ROW_BLOCK) if kernel == "cubic" else None
    if rows.gather is not None:
        image_rgb = image_rgb.take(rows.gather, axis=0)
    if columns.gather is not None:
        image_rgb = image_rgb.take(columns.gather, axis=1)
    if row_bands is None:
        _mix_rows(_resize_columns(_planes(image_rgb), column_bands, width), rows, out)
        return normalize(out, gain, bias)

    def fill(start: int) -> None:
        strip = out[:, start : start + _STRIP]
        tall = _resize_rows(image_rgb, row_bands, start // _ROW_BLOCK, strip.shape[1])
        levels = _resize_columns(_planes(tall), column_bands, width)
        np.rint(levels, out=levels)
        np.clip(levels, 0, 255, out=strip)
        normalize(strip, gain, bias)

    for _ in (workers.map if workers else map)(fill, range(0, height, _STRIP)):
        pass
    return out


def normalize(planes: Planes, gain: Planes | None, bias: Planes | None) -> Planes:
    """Map gray levels of planes (C, H, W) to `level * gain + bias` per channel, in place."""
    if gain is not None:
        planes *= gain[:, None, None]
    if bias is not None:
        planes += bias[:, None, None]
    return planes


def _planes(pixels: Pixels | Planes) -> Planes:
    """Return (3, H, W) float32 of (H, W, 3)."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32, copy=False)


def _resize_rows(image_rgb: Pixels, bands: _Bands, first_band: int, height: int) -> Planes:
    """Return a strip (height, W, 3) float32 of pixels (H, W, 3) resized along H, from a band on."""
    length = image_rgb.shape[1] * _CHANNELS
    tall = np.empty((-(-height // _ROW_BLOCK), _ROW_BLOCK, length), np.float32)
    step = max(_ROW_BLOCK, SMALL_PRODUCT // (bands.span * _ROW_BLOCK))
    for band, target in enumerate(tall, start=first_band):
        first = bands.first[band]
        source = image_rgb[first : first + bands.span].astype(np.float32).reshape(bands.span, -1)
        for start in range(0, length, step):
            piece = slice(start, start + step)
            np.matmul(bands.matrices[band], source[:, piece], out=target[:, piece])
    return tall.reshape(-1, image_rgb.shape[1], _CHANNELS)[:height]


def _resize_columns(planes: Planes, bands: _Bands, width: int) -> Planes:
    """Return planes (3, H, width) of planes (3, H, W)."""
    lines = planes.reshape(-1, planes.shape[2])
    wide = np.empty((len(lines), width), np.float32)
    step = max(_COLUMN_BLOCK, SMALL_PRODUCT // (bands.span * _COLUMN_BLOCK))
    for start in range(0, len(lines), step):
        chosen = slice(start, start + step)
        for band, first in enumerate(bands.first):
            target = wide[chosen, band * _COLUMN_BLOCK : (band + 1) * _COLUMN_BLOCK]
            weights = bands.turned[band, :, : target.shape[1]]
            np.matmul(lines[chosen, first : first + bands.span], weights, out=target)
    return wide.reshape(_CHANNELS, -1, width)


def _mix_rows(wide: Planes, rows: _Axis, out: Planes) -> None:
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


@lru_cache(maxsize=64)
def _axis(source: int, target: int, kernel: Kernel) -> _Axis:
    positions, weights = _bilinear_taps(source, target) if kernel == "bilinear" else _cubic_taps(source, target)
    if source <= target * positions.shape[1]:
        return _Axis(None, positions, weights)
    used = np.unique(positions)
    if used.size >= 0.8 * source:
        return _Axis(None, positions, weights)
    return _Axis(used, np.searchsorted(used, positions), weights)


@lru_cache(maxsize=32)
def _bands(source: int, target: int, kernel: Kernel, block: int) -> _Bands:
    axis = _axis(source, target, kernel)
    length = source if axis.gather is None else axis.gather.size
    count = -(-target // block)
    starts = np.arange(0, target, block)
    first = axis.positions[starts, 0]
    last = axis.positions[np.minimum(starts + block, target) - 1, -1]
    span = int((last - first).max()) + 1
    first = np.minimum(first, length - span)
    matrices = np.zeros((count, block, span), np.float32)
    output = np.arange(target)
    band = output // block
    np.add.at(matrices, (band[:, None], output[:, None] % block, axis.positions - first[band, None]), axis.weights)
    return _Bands(first.tolist(), span, matrices, np.ascontiguousarray(matrices.transpose(0, 2, 1)))


def _bilinear_taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return input positions (target, 2) and OpenCV's weights, whole multiples of 1 / `_FIXED_ONE`."""
    centers = _centers(source, target).astype(np.float32)
    floors = np.floor(centers)
    right = centers - floors
    weights = np.rint(np.stack([1 - right, right], axis=1) * np.float32(_FIXED_ONE)).astype(np.float64)
    return _clipped(floors, range(2), source), weights


def _cubic_taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return input positions (target, 4) and weights of cubic convolution (Keys 1981) with a = -0.75."""
    centers = _centers(source, target)
    floors = np.floor(centers)
    offsets = range(-1, 3)
    distance = np.abs(floors[:, None] + offsets - centers[:, None])
    a = _CUBIC_A
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return _clipped(floors, offsets, source), np.where(distance <= 1, near, far)


def _centers(source: int, target: int) -> NDArray[np.float64]:
    """Return the input coordinate of each output's center."""
    centers: NDArray[np.float64] = (np.arange(target, dtype=np.float64) + 0.5) * (1 / (target / source)) - 0.5
    return centers


def _clipped(floors: NDArray[np.floating[Any]], offsets: range, source: int) -> NDArray[np.intp]:
    """Return the positions around `floors`; those beyond an edge repeat it, as in OpenCV."""
    positions: NDArray[np.intp] = floors[:, None].astype(np.intp) + np.array(offsets)
    return np.clip(positions, 0, source - 1)
