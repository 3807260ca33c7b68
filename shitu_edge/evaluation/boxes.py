"""Detection metrics on labeled boxes: average precision as COCO computes it, and names per product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..imaging.geometry import Boxes, iou
from ..results import Detections

COCO_IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
_RECALLS = np.linspace(0, 1, 101)
_MOST_DETECTIONS = 100


def average_precision(images: Sequence[tuple[Boxes, Detections]], iou_from: float) -> float:
    """Return the class-agnostic average precision, interpolated at 101 recalls (COCO's `cocoeval`, `maxDets=100`).

    Args:
        images: true boxes (N, 4) and detections of each image.
        iou_from: least IoU of a hit.

    Returns:
        0..1; NaN if there are no true boxes.
    """
    total = sum(len(truth) for truth, _ in images)
    if not total:
        return float("nan")
    scores, hits = [], []
    for truth, found in images:
        order = np.argsort(-found.scores, kind="stable")[:_MOST_DETECTIONS]
        scores.append(found.scores[order])
        hits.append(_hits(truth, found.boxes_xyxy[order], iou_from))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    right = np.cumsum(np.concatenate(hits)[order])
    recall = right / total
    precision = right / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.append(precision, 0)[np.minimum(places, len(precision))].mean())


def _hits(truth: Boxes, found: Boxes, iou_from: float) -> NDArray[np.bool_]:
    """Return for each detection, best first, whether it is the first on a true box (N,)."""
    overlaps = iou(found[:, None], truth) if len(found) and len(truth) else np.zeros((len(found), len(truth)))
    free = np.ones(len(truth), bool)
    hits = np.zeros(len(found), bool)
    for number in range(len(found)):
        reach = np.where(free, overlaps[number], -1)
        if len(truth) and reach.max() >= min(iou_from, 1 - 1e-10):
            free[len(reach) - 1 - int(reach[::-1].argmax())] = False  # of equal overlaps cocoeval takes the last
            hits[number] = True
    return hits


@dataclass(frozen=True, slots=True)
class ProductCounts:
    """Of one label, over all images: things shown, boxed, named right; and names given where another thing lies."""

    label: str
    shown: int
    boxed: int
    right: int
    wrong: int

    @property
    def recall(self) -> float:
        """Share of shown things that are named right; NaN if none is shown."""
        return self.right / self.shown if self.shown else float("nan")

    @property
    def precision(self) -> float:
        """Share of given names that are right; NaN if none is given."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else float("nan")
