"""The counter without things, learned cell by cell while it is bare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .cells import Cells, Mask, Motion, Place

_QUIET_S, _RELEARN_S = 0.5, 10.0
"""Seconds without motion after which a cell is taken for bare, and for which one must look otherwise than it did bare
before it is: a hand may rest there.
"""
_FOLLOW = 0.1
_ENOUGH_KNOWN = 0.5
_SHOWS = 12.0
"""Levels by which a thing's cells differ from the bare counter."""
_FEWEST_CELLS, _LEAST_OPEN, _BARE = 2, 0.15, 0.8
"""Of a thing's cells: how many, and which share, nothing else may cover, and the share of these that must be bare."""


class Background:
    """The look of each cell without a thing or a hand."""

    def __init__(self, cells: Cells) -> None:
        """Begin with nothing known; `cells`: of any frame of the size."""
        self._cells = np.zeros_like(cells)
        self._known: Mask = np.zeros(cells.shape[:2], bool)
        self._quiet_s: NDArray[np.float32] = np.zeros(cells.shape[:2], np.float32)

    def learn(self, motion: Motion, cells: Cells, covered: Sequence[Place], step_s: float) -> None:
        """Take a frame's cells that no thing covers, and where nothing has moved for a while.

        Args:
            motion: with the frame.
            cells: of the frame.
            covered: places of things.
            step_s: seconds since the last frame.
        """
        self._quiet_s += np.float32(step_s)
        self._quiet_s[motion.moving] = 0
        for place in covered:
            self._quiet_s[place.rows, place.columns] = 0
        bare = self._quiet_s >= _QUIET_S
        news = bare & (~self._known | (self._quiet_s >= _RELEARN_S))
        follow = np.where(news, np.float32(1), np.float32(_FOLLOW)) * (news | (bare & motion.same_color(self._cells)))
        self._cells += follow[..., None] * (cells - self._cells)
        self._known |= bare
        self._quiet_s[news] = _QUIET_S

    def knows(self, place: Place) -> bool:
        """Return whether most of a place was seen bare."""
        return float(self._known[place.rows, place.columns].mean()) >= _ENOUGH_KNOWN

    def has_left(self, motion: Motion, place: Place, before: Cells | None, covered: Mask) -> bool:
        """Return whether a thing is gone from a place: where it was seen, the bare counter is seen now.

        Args:
            motion: with the last frame.
            place: the thing's.
            before: the cells of a frame that shows the thing there; None if there is none.
            covered: cells that other things cover, which do not tell.
        """
        bare, here = self._cells[place.rows, place.columns], self._known[place.rows, place.columns]
        if before is not None:
            here = here & (np.abs(before[place.rows, place.columns] - bare).max(axis=2) > _SHOWS)
        open_ = here & ~covered[place.rows, place.columns]
        if open_.sum() < max(_FEWEST_CELLS, _LEAST_OPEN * here.sum()):
            return False
        return float(motion.same_color(self._cells)[place.rows, place.columns][open_].mean()) >= _BARE

    def foreign(self, motion: Motion) -> Mask:
        """Return which cells of the last frame show neither the bare counter nor a shadow on it, where it is known."""
        return self._known & ~motion.same_color(self._cells)
