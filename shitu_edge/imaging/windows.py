"""Means of all square windows of an image. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def window_means(planes: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Return the mean of each window of `size` × `size` that lies inside planes (n, h, w), (n, h - size + 1, ...).

    By sums over all pixels above and to the left of each (Crow 1984, "Summed-area tables for texture mapping"). The
    sums are float64: differences of those of gray levels are exact.
    """
    count, height, width = planes.shape
    sums = np.zeros((count, height + 1, width + 1))
    inner = sums[:, 1:, 1:]
    np.cumsum(planes, axis=2, out=inner)
    np.cumsum(inner, axis=1, out=inner)
    totals = sums[:, size:, size:] - sums[:, :-size, size:] - sums[:, size:, :-size] + sums[:, :-size, :-size]
    means: NDArray[np.float64] = totals / size**2
    return means
