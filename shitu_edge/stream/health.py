"""The camera's state, from its frames: black, frozen, blurred, or moved."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..imaging.geometry import Pixels
from ..results.stream import CameraState
from .cells import Cells

Moved = Callable[[Pixels], bool]
"""Says whether the camera that took a frame (H, W, 3) has moved since the empty counter's reference was taken."""

_DARK, _DARK_SPREAD = 12.0, 8.0
"""Levels: mean of a black frame at most, and difference of its cells."""
_FROZEN_S = 2.0
_SAMPLED = 16
"""Every so many pixels are compared: a live sensor's noise changes some of thousands."""
_CHECK_S = 1.0
_CHECKS = 2
"""Checks in a row that find a frame blurred or moved, so that a hand before the lens is neither."""
_STRIPS, _STRIP_ROWS = 32, 4
_EDGE_CONTRAST = 60.0
_FEWEST_EDGES = 20
_SHARPEST = 0.9
_REACH = 10
_LEAST_SLOPE = 0.2
"""Sharp drawn frames have 0.58 and more, those after a Gaussian blur of 2, 3 and 5 pixels of 1280 along the frame 0.20
to 0.46, 0.17 to 0.24 and 0.14 to 0.18; below is blurred. Noise keeps it from falling further.
"""
_WIDTH = 1280


class Health:
    """Follows a camera's state frame by frame."""

    def __init__(self, moved: Moved | None = None) -> None:
        """`moved` compares frames with the reference of the empty counter, if there is one; asked once a second."""
        self.state: CameraState = "good"
        self._moved = moved
        self._samples: NDArray[np.uint8] | None = None
        self._same_s = 0.0
        self._since_check_s = _CHECK_S
        self._blurred = self._shifted = 0

    def see(self, pixels_rgb: Pixels, cells: Cells, step_s: float) -> CameraState:
        """Take a frame, so many seconds after the last one; return the state."""
        samples = pixels_rgb[::_SAMPLED, ::_SAMPLED].copy()
        same = self._samples is not None and np.array_equal(samples, self._samples)
        self._samples = samples
        self._same_s = self._same_s + step_s if same else 0.0
        self._since_check_s += step_s
        if is_black(cells):
            self.state = "black"
        elif self._same_s >= _FROZEN_S:
            self.state = "frozen"
        else:
            self.state = self._checked(pixels_rgb)
        return self.state

    def _checked(self, pixels_rgb: Pixels) -> CameraState:
        if self._since_check_s >= _CHECK_S:
            self._since_check_s = 0.0
            slope = sharpness(pixels_rgb)
            self._blurred = self._blurred + 1 if slope is not None and slope < _LEAST_SLOPE else 0
            self._shifted = self._shifted + 1 if self._moved is not None and self._moved(pixels_rgb) else 0
        if self._shifted >= _CHECKS:
            return "moved"
        return "blurred" if self._blurred >= _CHECKS else "good"


def is_black(cells: Cells) -> bool:
    """Return whether a frame is dark and shows nothing, as one of a covered lens does."""
    gray = cells.mean(axis=2)
    return float(gray.mean()) <= _DARK and float(np.ptp(gray)) <= _DARK_SPREAD


def sharpness(pixels_rgb: Pixels) -> float | None:
    """Return how steep the steepest tenth of the strong edges is; None if there are too few to tell.

    It is the share of an edge's contrast within one pixel of a frame 1280 wide: after a Gaussian blur of s such pixels
    about 0.4 / s. Edges are looked for along 32 rows, each the mean of four.
    """
    height, width = pixels_rgb.shape[:2]
    reach = max(1, round(_REACH * width / _WIDTH))
    if height < _STRIPS * _STRIP_ROWS or width < 4 * reach:
        return None
    tops = np.linspace(0, height - _STRIP_ROWS, _STRIPS).astype(int)
    green = pixels_rgb[..., 1]
    rows = np.stack([green[top : top + _STRIP_ROWS].mean(axis=0, dtype=np.float32) for top in tops])
    steps = np.abs(np.diff(rows, axis=1))
    steepest = sliding_window_view(steps, 2 * reach, axis=1).max(axis=2)
    contrast = np.abs(rows[:, 2 * reach :] - rows[:, : -2 * reach])
    middle = steps[:, reach - 1 : reach - 1 + steepest.shape[1]]
    edges = (middle == steepest) & (contrast > _EDGE_CONTRAST)
    if edges.sum() < _FEWEST_EDGES:
        return None
    slope = np.quantile(middle[edges] / contrast[edges], _SHARPEST)
    return float(min(1.0, slope * width / _WIDTH))
