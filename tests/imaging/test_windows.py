"""Means of windows, compared with NumPy's own windows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from shitu_edge.imaging.windows import window_means


@pytest.mark.parametrize("size", [1, 3, 7, 12])
def test_window_means_are_those_of_each_window(size: int) -> None:
    planes = np.random.default_rng(0).integers(0, 256, (2, 12, 15)).astype(np.float32)
    expected = sliding_window_view(planes, (size, size), axis=(1, 2)).mean(axis=(3, 4), dtype=np.float64)
    np.testing.assert_allclose(window_means(planes, size), expected, rtol=1e-12)
