"""Is what gets no name a product at all? A small network on top of the extractor tells.

The detector is asked for every place that may hold a product, and also finds lamps, print and shelves. The extractor
has looked closer by then, as the second stage of R-CNN does (Girshick et al. 2014, https://arxiv.org/abs/1311.2524):
its embedding is judged again, in microseconds. Figures: `benchmarks/results/objectness.md`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..results import Detections, DropReason
from .regions import Regions
from .tiles import are_crowds


class Objectness:
    """Judges embeddings by the weights of a bundle."""

    def __init__(self, weights: NDArray[np.float32]) -> None:
        """Take the weights (D + 2, H), see `bundle.objectness`."""
        self._hidden, self._bias, self._output = weights[:-2], weights[-2], weights[-1]

    def log_odds(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return for unit rows (N, D) the log-odds (N,) that they show a product, shifted: it counts from 0 on."""
        odds: NDArray[np.float32] = np.maximum(rows @ self._hidden + self._bias, 0) @ self._output
        return odds

    def are_products(self, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which unit rows (N, D) show a product (N,)."""
        return self.log_odds(rows) >= 0


def unnamed(objectness: Objectness | None, rows: NDArray[np.float32], chosen: Regions) -> list[DropReason | None]:
    """Return for unit rows (N, D) why their boxes do not count unless they get a label; None if they do.

    A box has to show a product, and one, not a shelf of them. The whole image is no object anyway.

    Args:
        objectness: None if the bundle cannot tell products.
        rows: of the first boxes.
        chosen: the boxes.
    """
    reasons: list[DropReason | None] = [None] * len(rows)
    detected = [score for score in chosen.scores[: len(rows)] if score is not None]  # the whole image comes last
    if objectness is None or not detected:
        return reasons
    scores, boxes = np.array(detected, np.float32), chosen.boxes_xyxy[: len(detected)]
    others = ~objectness.are_products(rows[: len(detected)])
    products = np.flatnonzero(~others)
    others[products] = are_crowds(Detections(boxes[products], scores[products], np.zeros(len(products), np.int32)))
    for number in np.flatnonzero(others).tolist():
        reasons[number] = "no_product"
    return reasons
