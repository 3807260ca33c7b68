"""What a bundle finds in photos with true boxes, and which of it is right: examples for an objectness network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shitu_edge import Recognizer
from shitu_edge.imaging.geometry import Boxes, pair_boxes
from shitu_edge.stages.objectness import box_facts

from ..detector.photos import Photo

_LOWEST, _MOST = 0.2, 40
_ON_IT = 0.5
"""Share of the smaller of two areas from which on a box lies on a product."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Boxes that were found.

    Attributes:
        inputs: (N, D + 6) float32, embeddings and `box_facts`.
        truth: (N, 2) float32, 0 or 1: lies on a product; is the whole of one.
        counted: (N,), whether it reaches the score from which the bundle counts a box.
    """

    inputs: NDArray[np.float32]
    truth: NDArray[np.float32]
    counted: NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: Sequence[Examples]) -> Examples:
        """Return the examples of several."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


def examples_in(recognizer: Recognizer, photos: Sequence[Photo]) -> list[Examples]:
    """Return what is found in each photo.

    A box is looked at among those from the bundle's score, and among those from lower ones: others around it, and so
    other facts.
    """
    least = recognizer.bundle.manifest.detector.score_threshold
    return [_in_photo(recognizer, photo, least) for photo in photos]


def _in_photo(recognizer: Recognizer, photo: Photo, least: float) -> Examples:
    found = recognizer.detect(photo.pixels_rgb, detection_threshold=min(_LOWEST, least), max_boxes=_MOST)
    rows = recognizer.embed(photo.pixels_rgb, found.boxes_xyxy)
    height, width = photo.pixels_rgb.shape[:2]
    parts = [Examples(np.zeros((0, rows.shape[1] + 6), np.float32), np.zeros((0, 2), np.float32), np.zeros(0, bool))]
    for threshold in np.linspace(min(_LOWEST, least), least, 4).round(3):
        among = found.scores >= threshold
        boxes, scores = found.boxes_xyxy[among], found.scores[among]
        truth = np.zeros((len(boxes), 2), np.float32)
        truth[:, 0] = _lie_on(boxes, photo.boxes_xyxy)
        truth[[one for one, _ in pair_boxes(boxes, photo.boxes_xyxy)], 1] = 1
        inputs = np.concatenate([rows[among], box_facts(boxes, scores, width, height)], axis=1)
        parts.append(Examples(inputs, np.maximum(truth, truth[:, 1:]), (scores >= least) & (threshold == least)))
    return Examples.joined(parts)


def _lie_on(boxes: Boxes, products: Boxes) -> NDArray[np.bool_]:
    """Return which of the boxes (N, 4) share at least half of the smaller area with one of the products (M, 4)."""
    low = np.maximum(boxes[:, None, :2], products[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], products[None, :, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    areas, others = ((some[:, 2:] - some[:, :2]).prod(axis=1) for some in (boxes, products))
    smaller = np.minimum(areas[:, None], others[None]).clip(1)
    found: NDArray[np.bool_] = (common / smaller >= _ON_IT).any(axis=1)
    return found
