"""Is a box that gets no name a product at all? Its embedding, its score and the boxes around it tell.

The detector is asked for every place that may hold a product, and also finds lamps, print and parts. The extractor has
looked closer by then: a small network on top of it, which costs microseconds, says whether a box lies on a product and
whether it is the whole of one, as the second stage of R-CNN does (Girshick et al. 2014, https://arxiv.org/abs/1311.2524).
Figures: `benchmarks/results/objectness.md`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..bundle.objectness import BOX_FACTS, OUTPUTS
from ..imaging.geometry import Boxes
from .decode import DecodedImage
from .regions import Regions

NoProduct = Literal["no_product", "part"]
"""Why a box is none: it lies on none, or it is a part of one, or several of them."""

_EDGE = 2.0
"""Pixels: a box that comes as near to the image's edge may be cut by it."""
_SURE = 1e-6
_LEAST_SIDE = 1.0


class Objectness:
    """Judges boxes by the weights of a bundle."""

    def __init__(self, weights: NDArray[np.float32]) -> None:
        """Take the weights (D + 6 + 1 + 2, H), see `bundle.objectness`."""
        self._hidden, self._bias, self._outputs = weights[: -1 - OUTPUTS], weights[-1 - OUTPUTS], weights[-OUTPUTS:]

    def judge(
        self, rows: NDArray[np.float32], boxes_xyxy: Boxes, scores: NDArray[np.float32], width: int, height: int
    ) -> list[NoProduct | None]:
        """Return for each box why it is no product, None if it is one.

        Args:
            rows: unit rows (N, D) of the boxes.
            boxes_xyxy, scores: detections (N, 4) and (N,) of one image.
            width, height: of the image, in the pixels of the boxes.
        """
        outputs = self.outputs(np.concatenate([rows, box_facts(boxes_xyxy, scores, width, height)], axis=1))
        return [_verdict(one) for one in outputs]

    def outputs(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return for inputs (N, D + 6) two log-odds (N, 2): of lying on a product, and of being the whole of one.

        Both are shifted so that 0 is where a box stops to count.
        """
        found: NDArray[np.float32] = np.maximum(inputs @ self._hidden + self._bias, 0) @ self._outputs.T
        return found


def _verdict(outputs: NDArray[np.float32]) -> NoProduct | None:
    if outputs[0] < 0:
        return "no_product"
    return "part" if outputs[1] < 0 else None


def box_facts(boxes_xyxy: Boxes, scores: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Return six numbers (N, 6) for each of an image's boxes (N, 4) with scores (N,).

    Log-odds of the score; logarithms of the size (square root of its share of the image's area) and of the aspect
    (width by height); how much of the box lies in a larger one, and how much of a smaller one lies in it, as shares
    that are weighed by the other's score, the largest each; how many edges of the image it touches.
    """
    facts = np.zeros((len(boxes_xyxy), BOX_FACTS), np.float32)
    if not len(boxes_xyxy):
        return facts
    scores = np.clip(scores, _SURE, 1 - _SURE).astype(np.float32)
    sides = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], _LEAST_SIDE)
    areas = sides.prod(axis=1)
    low = np.maximum(boxes_xyxy[:, None, :2], boxes_xyxy[None, :, :2])
    high = np.minimum(boxes_xyxy[:, None, 2:], boxes_xyxy[None, :, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    larger = areas[None] > areas[:, None]
    facts[:, 0] = np.log(scores / (1 - scores))
    facts[:, 1] = np.log(areas / (width * height)) / 2
    facts[:, 2] = np.log(sides[:, 0] / sides[:, 1])
    facts[:, 3] = (common / areas[:, None] * larger * scores).max(axis=1)
    facts[:, 4] = (common / areas[None] * larger.T * scores).max(axis=1)
    low_edges, high_edges = boxes_xyxy[:, :2] < _EDGE, boxes_xyxy[:, 2:] > (width - _EDGE, height - _EDGE)
    facts[:, 5] = low_edges.sum(axis=1) + high_edges.sum(axis=1)
    return facts


def no_products(
    objectness: Objectness | None, rows: NDArray[np.float32], chosen: Regions, decoded: DecodedImage
) -> list[NoProduct | None]:
    """Return for each of the first boxes, as many as have rows (N, D), why it is no product.

    None for all without an `objectness`, and for the whole image.
    """
    found: list[NoProduct | None] = [None] * len(rows)
    detected = [score for score in chosen.scores[: len(rows)] if score is not None]  # the whole image comes last
    if objectness is not None and detected:
        count, (height, width) = len(detected), decoded.pixels_rgb.shape[:2]
        scores = np.array(detected, np.float32)
        found[:count] = objectness.judge(rows[:count], chosen.boxes_xyxy[:count], scores, width, height)
    return found
