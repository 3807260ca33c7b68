"""Is what gets no name a product at all? A small network on top of the extractor tells.

The detector is asked for every place that may hold a product, and also finds lamps, print and shelves. The extractor
has looked closer by then, as the second stage of R-CNN does (Girshick et al. 2014, https://arxiv.org/abs/1311.2524):
its embedding is judged again, in microseconds. Figures: `benchmarks/results/objectness.md`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Objectness:
    """Judges embeddings by the weights of a bundle."""

    def __init__(self, weights: NDArray[np.float32]) -> None:
        """Take the weights (D + 2, H), see `bundle.objectness`."""
        self._hidden, self._bias, self._output = weights[:-2], weights[-2], weights[-1]

    def log_odds(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return for unit rows (N, D) the log-odds (N,) that they show a product, shifted: it counts from 0 on."""
        odds: NDArray[np.float32] = np.maximum(rows @ self._hidden + self._bias, 0) @ self._output
        return odds
