"""The counter without things, learned cell by cell while it is bare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cells import Cells, Mask, Motion, Place

_QUIET_FRAMES = 5
_FOLLOW = 0.1
_ENOUGH_KNOWN = 0.5


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

    def bare(self, motion: Motion, place: Place) -> float | None:
        """Return the share of a place that looks as it does without a thing; None if half of it was never seen so."""
        known = self._known[place.rows, place.columns]
        if known.mean() < _ENOUGH_KNOWN:
            return None
        return float(motion.alike(self._cells, place)[known].mean())

    def foreign(self, motion: Motion) -> Mask:
        """Return which cells of the last frame do not look as they do without a thing, as far as that is known."""
        return self._known & motion.differs(self._cells)
