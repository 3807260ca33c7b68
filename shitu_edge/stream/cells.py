"""Frames reduced to cells: what moves, what has changed since a look, and whether a place looks as it did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..imaging.geometry import Pixels

Cells = NDArray[np.float32]
"""Mean colors (rows, columns, 3), 0..255."""
Mask = NDArray[np.bool_]
"""One value per cell (rows, columns)."""

ALONG = 80
"""Cells along the longer side of a frame, at least; fewer than twice as many."""
_ROWS = 8
_LEAST_CHANGE = 3.0
"""Levels of the channel that changes most."""
_NOISES = 4.0
"""Times a cell's usual change that is more than noise; two neighbors at a time are required."""
_FIRST_NOISE, _MOST_NOISE = 1.0, 4.0
_RISE, _RISE_MOVING, _FALL = 0.05, 0.02, 0.01
"""How fast the usual change follows larger changes, those that count as motion, and smaller ones: it is exceeded by one
change in five or so.
"""
_TREMOR = 0.06
"""Share of the difference between neighboring cells by which a cell may change as the mount trembles: that of a shift
by a pixel, where a cell has 16.
"""
_RELIT, _DARKEST = 0.25, 0.45
"""A place may be so much brighter or darker than it was and count as alike; a bare cell may be so dark in a shadow."""
_PIECE = 4
"""Every so many cells tell the light of a frame."""


@dataclass(frozen=True, slots=True)
class Place:
    """Rows and columns of cells that a box covers, at least one."""

    rows: slice
    columns: slice

    @classmethod
    def of(cls, box_xyxy: NDArray[np.float32], size: tuple[int, int], cells: tuple[int, int], margin: int = 0) -> Place:
        """Return the place of a box.

        Args:
            box_xyxy: (4,) in pixels of a frame.
            size: height and width of the frame.
            cells: rows and columns of its cells.
            margin: cells to add on every side.
        """
        down, across = cells[0] / size[0], cells[1] / size[1]
        x1, y1, x2, y2 = (float(side) for side in box_xyxy)
        top, left = int(y1 * down + 0.5) - margin, int(x1 * across + 0.5) - margin
        bottom, right = int(y2 * down + 0.5) + margin, int(x2 * across + 0.5) + margin
        top, left = min(max(top, 0), cells[0] - 1), min(max(left, 0), cells[1] - 1)
        return cls(slice(top, min(max(bottom, top + 1), cells[0])), slice(left, min(max(right, left + 1), cells[1])))

    def share(self, mask: Mask) -> float:
        """Return the share of its cells for which a mask is true."""
        return float(mask[self.rows, self.columns].mean())


def reduce(pixels_rgb: Pixels) -> Cells:
    """Return the cells of a frame (H, W, 3) uint8 RGB: square, each the mean of up to 8 of its rows."""
    height, width = pixels_rgb.shape[:2]
    side = max(1, max(height, width) // ALONG)
    side = min(side, height, width)
    step = -(-side // _ROWS)
    lines = -(-side // step)
    rows, columns = height // side, width // side
    taken = pixels_rgb[: rows * side].reshape(rows, side, -1)[:, ::step, : columns * side * 3]
    sums = np.add.reduce(taken, axis=1, dtype=np.uint32)
    cells: Cells = sums.reshape(rows, columns, side, 3).sum(axis=2, dtype=np.uint32).astype(np.float32)
    cells /= side * lines
    return cells


class Motion:
    """Cells that move from frame to frame, and those that have changed since the last look.

    The noise of each cell is learned from the frames, so that a grainy sensor, a trembling mount or a display in view
    do not count as motion. A change of exposure of the whole frame does not either.
    """

    def __init__(self, cells: Cells) -> None:
        """Begin with the first frame's cells."""
        self.noise: NDArray[np.float32] = np.full(cells.shape[:2], _FIRST_NOISE, np.float32)
        self.moving: Mask = np.zeros(cells.shape[:2], bool)
        self.changed: Mask = self.moving
        self._last = self._looked = cells
        self._slack = _TREMOR * _contrast(cells)

    def see(self, cells: Cells) -> None:
        """Take the next frame's cells: `moving` against the last frame, `changed` against the last look."""
        step = _difference(cells, self._last)
        self._slack = _TREMOR * _contrast(cells)
        limit = np.maximum(_LEAST_CHANGE, _NOISES * self.noise) + self._slack
        self.moving = _connected(step > limit)
        self.changed = _connected(_difference(cells, self._looked) > limit)
        rise = np.where(self.moving, np.float32(_RISE_MOVING), np.float32(_RISE))
        news = np.minimum(step, _MOST_NOISE) - self.noise
        self.noise += np.where(news > 0, rise, np.float32(_FALL)) * news
        self._last = cells

    def looked(self) -> None:
        """Remember that the last frame was looked at."""
        self._looked = self._last

    def same_color(self, before: Cells) -> Mask:
        """Return which cells of the last frame look as they did before, each in light of its own, as under shadows."""
        now, then = self._last, before
        gain = (now * then).sum(axis=2) / np.maximum((then * then).sum(axis=2), 1)
        gain = np.clip(gain, _DARKEST, 1 + _RELIT)[..., None]
        found: Mask = np.abs(now - then * gain).max(axis=2) <= self._still_limit()
        return found

    def alike(self, before: Cells, place: Place) -> Mask:
        """Return which cells of a place look in the last frame as they did before, all in the same light."""
        now, then = self._last[place.rows, place.columns], before[place.rows, place.columns]
        gain = np.clip(np.median(now) / max(float(np.median(then)), 1.0), 1 - _RELIT, 1 + _RELIT)
        limit = self._still_limit()[place.rows, place.columns]
        found: Mask = np.abs(now - then * np.float32(gain)).max(axis=2) <= limit
        return found

    def _still_limit(self) -> NDArray[np.float32]:
        """Return the levels by which a cell may differ from how it looked some time ago."""
        limit: NDArray[np.float32] = np.maximum(2 * _LEAST_CHANGE, _NOISES * self.noise) + 2 * self._slack
        return limit


def _difference(cells: Cells, before: Cells) -> NDArray[np.float32]:
    """Return the largest change of a channel per cell, but for that of the whole frame's light."""
    now, then = cells[::_PIECE, ::_PIECE], before[::_PIECE, ::_PIECE]
    gain = np.median((now + 1) / (then + 1), axis=(0, 1))
    change: NDArray[np.float32] = np.abs(cells - before * gain).max(axis=2)
    return change


def _contrast(cells: Cells) -> NDArray[np.float32]:
    """Return the largest difference of a cell to one beside, above or below, of any channel."""
    found = np.zeros(cells.shape[:2], np.float32)
    down = np.abs(cells[1:] - cells[:-1]).max(axis=2)
    across = np.abs(cells[:, 1:] - cells[:, :-1]).max(axis=2)
    for part, step in ((found[1:], down), (found[:-1], down), (found[:, 1:], across), (found[:, :-1], across)):
        np.maximum(part, step, out=part)
    return found


def grown(mask: Mask) -> Mask:
    """Return a mask with the cells beside, above and below its own."""
    found: Mask = mask | _next_to(mask)
    return found


def _connected(mask: Mask) -> Mask:
    """Return the cells of a mask that have one beside, above or below."""
    found: Mask = mask & _next_to(mask)
    return found


def _next_to(mask: Mask) -> Mask:
    """Return the cells beside, above and below those of a mask."""
    near = np.zeros_like(mask)
    near[1:] |= mask[:-1]
    near[:-1] |= mask[1:]
    near[:, 1:] |= mask[:, :-1]
    near[:, :-1] |= mask[:, 1:]
    return near
