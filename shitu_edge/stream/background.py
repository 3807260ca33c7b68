"""The counter without things, learned cell by cell while it is bare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cells import Cells, Mask, Motion, Place

_QUIET_FRAMES = 5
_FOLLOW = 0.1
_ENOUGH_KNOWN = 0.5
_SHOWS = 12.0
"""Levels by which a thing's cells differ from the bare counter."""
_FEWEST_CELLS, _LEAST_OPEN, _BARE = 2, 0.15, 0.8
"""Of a thing's cells: how many, and which share, nothing else may cover, and the share of these that must be bare."""


class Background:
    """What each cell looks like without a thing or a hand."""

    def __init__(self, cells: Cells) -> None:
        """Begin with nothing known; `cells`: of any frame of the size."""
        self._cells = np.zeros_like(cells)
        self._known: Mask = np.zeros(cells.shape[:2], bool)
        self._quiet: NDArray[np.int16] = np.zeros(cells.shape[:2], np.int16)

    def learn(self, cells: Cells, moving: Mask, covered: list[Place]) -> None:
        """Take a frame's cells that no thing covers, and where nothing has moved for some frames."""
        self._quiet += 1
        self._quiet[moving] = 0
        for place in covered:
            self._quiet[place.rows, place.columns] = 0
        bare = self._quiet >= _QUIET_FRAMES
        follow = np.where(bare & self._known, np.float32(_FOLLOW), bare.astype(np.float32))[..., None]
        self._cells += follow * (cells - self._cells)
        self._known |= bare
        np.minimum(self._quiet, _QUIET_FRAMES, out=self._quiet)

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
        return float(motion.alike(self._cells, place, open_)[open_].mean()) >= _BARE

    def foreign(self, motion: Motion) -> Mask:
        """Return which cells of the last frame do not look as they do without a thing, as far as that is known."""
        return self._known & motion.differs(self._cells)
