"""The empty counter, pieced together from frames with things on it. Pure.

The median over all frames shows what most of them show; that over the frames in which no box covers a place shows what
is there when nothing is found. Where these differ, something rested there, and the second one counts. Where boxes cover
a place in nearly all frames, what most of them show belongs to the counter: a poster. A place where most frames show
different things is unsure, and is left plain, so that nothing is taken for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..imaging.geometry import Boxes, Pixels
from ..imaging.shift import Spectrum, shift_between
from ..imaging.windows import window_means
from ..stages.background import SHAKE, WINDOW, same_windows

_MARGIN = 0.1
"""Of a box's sides, around it: shadows."""
_ENOUGH, _ENOUGH_SHARE = 2.5, 0.08
"""Frames in which a place has to be free, and their share; both are averages over a window."""
_LEVELS, _SHARE = 45.0, 0.25
"""Difference of windows up to which a place looks the same: levels over all colors, and a share of its own."""
_MOST = 0.5
"""Share of the frames that have to show the same."""
_SMOOTH = 9
"""Pixels per side of the windows over which these shares are averaged."""
_WIDE = 61
"""Pixels per side of the windows whose sure pixels stand in for unsure ones."""
_ROWS = 16
"""Rows at a time: bounds the memory."""

_Levels = NDArray[np.float32]
"""(h, w, 3), or (n, h, w, 3) of several frames."""
_Shares = NDArray[np.float64]
"""(h, w), 0..1."""


def piece_together(frames: Sequence[Pixels], boxes: Sequence[Boxes]) -> tuple[Pixels, NDArray[np.bool_]]:
    """Return the empty counter of frames (h, w, 3) uint8 RGB, and which of its pixels are sure (h, w).

    Args:
        frames: of equal size.
        boxes: (N, 4) of each frame, as shares of its width and height.
    """
    levels = in_one_light(frames)
    free = np.stack([_free(found, *frames[0].shape[:2]) for found in boxes])
    usual, left = median(levels), _median_of_free(levels, free)
    free_share = _smoothed(free.mean(axis=0))
    usual_share, left_share = _smoothed(_agreeing(levels, usual)), _smoothed(_agreeing(levels, left, free))
    enough = max(_ENOUGH / len(levels), _ENOUGH_SHARE)
    take_left = (free_share >= enough) & (left_share >= _MOST * free_share)
    sure = take_left | (usual_share >= _MOST)
    whole = np.where(take_left[..., None], left, usual)
    return np.rint(np.where(sure[..., None], whole, _around(whole, sure))).astype(np.uint8), sure


def in_one_light(frames: Sequence[Pixels]) -> _Levels:
    """Return frames (n, h, w, 3) as the median of all shows most of the image: moved back, and each color scaled."""
    levels = np.stack(frames).astype(np.float32)
    usual = median(levels)
    still = Spectrum.of(usual.sum(axis=2))
    for number in range(len(levels)):
        right, down = shift_between(still, Spectrum.of(levels[number].sum(axis=2)), SHAKE)
        levels[number] = np.roll(levels[number], (-down, -right), (0, 1))
        levels[number] *= np.median((usual + 1) / (levels[number] + 1), axis=(0, 1))
    return np.clip(levels, 0, 255, out=levels)


def median(levels: _Levels) -> _Levels:
    """Return the median (h, w, 3) of frames (n, h, w, 3)."""
    rows = range(0, levels.shape[1], _ROWS)
    found: _Levels = np.concatenate([np.median(levels[:, top : top + _ROWS], axis=0) for top in rows])
    return found


def _median_of_free(levels: _Levels, free: NDArray[np.bool_]) -> _Levels:
    """Return the median (h, w, 3) over the frames in which a pixel is free (n, h, w), 0 where it never is."""
    parts = []
    for top in range(0, levels.shape[1], _ROWS):
        rows = np.s_[:, top : top + _ROWS]
        seen = np.where(free[rows][..., None], levels[rows], np.float32(np.nan))
        seen[:, ~free[rows].any(axis=0)] = 0  # nanmedian warns if all are NaN
        parts.append(np.nanmedian(seen, axis=0))
    found: _Levels = np.concatenate(parts)
    return found


def _agreeing(levels: _Levels, with_what: _Levels, counted: NDArray[np.bool_] | None = None) -> _Shares:
    """Return the share of all frames in which a place looks like another's; of those that are counted (n, h, w)."""
    total = np.zeros(with_what.shape[:2])
    other = _padded(with_what)
    colors = window_means(other, WINDOW)
    allowed = _LEVELS + _SHARE * colors.sum(axis=0)
    for number, frame in enumerate(levels):
        one = _padded(frame)
        same = same_windows(one, other) & (np.abs(window_means(one, WINDOW) - colors).sum(axis=0) <= allowed)
        total += same if counted is None else same & counted[number]
    return total / len(levels)


def _padded(frame: _Levels) -> _Levels:
    """Return a frame (h, w, 3) as planes (3, ...) with half a window more on each side."""
    return np.pad(frame.transpose(2, 0, 1), ((0, 0), *[(WINDOW // 2, WINDOW // 2)] * 2), mode="edge")


def _smoothed(shares: _Shares) -> _Shares:
    around = np.pad(shares, _SMOOTH // 2, mode="edge")
    smooth: _Shares = window_means(around[None], _SMOOTH)[0]
    return smooth


def _around(whole: _Levels, sure: NDArray[np.bool_]) -> _Levels:
    """Return for each pixel the mean color of the sure ones around it (h, w, 3), or of all where none is near."""
    weighed = np.concatenate([whole * sure[..., None], sure[..., None]], axis=2).transpose(2, 0, 1)
    sums = window_means(np.pad(weighed, ((0, 0), *[(_WIDE // 2, _WIDE // 2)] * 2)), _WIDE)
    near = sums[3] > 0
    plain = np.broadcast_to(whole.mean(axis=(0, 1)), whole.shape).astype(np.float32)
    plain[near] = (sums[:3, near] / sums[3, near]).T
    return plain


def _free(boxes: Boxes, height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels (height, width) that no box covers."""
    free = np.ones((height, width), bool)
    around = _MARGIN * (boxes[:, 2:] - boxes[:, :2])
    for x1, y1, x2, y2 in np.concatenate([boxes[:, :2] - around, boxes[:, 2:] + around], axis=1).tolist():
        left, top = max(0, int(x1 * width)), max(0, int(y1 * height))
        free[top : int(y2 * height) + 1, left : int(x2 * width) + 1] = False
    return free
