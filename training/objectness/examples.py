"""What a bundle finds in photos with true boxes, and which of it is a product: examples for an objectness network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shitu_edge import Recognizer
from shitu_edge.imaging.geometry import Boxes, pair_boxes

from ..detector.photos import Photo

_LOWEST, _MOST = 0.2, 40
"""Score and number of the boxes of a photo that are learnt from: more than count, as others are taken for products."""
_ON_IT = 0.5
"""Share of the smaller of two areas from which on a box lies on a product."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Boxes that were found.

    Attributes:
        rows: their embeddings (N, D) float32.
        on_product: (N,) bool.
        whole: (N,) bool, is the box of one product, by an IoU of at least 0.5.
        scores: (N,) float32, of the detector.
    """

    rows: NDArray[np.float32]
    on_product: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    scores: NDArray[np.float32]


def find_examples(recognizer: Recognizer, photos: Sequence[Photo]) -> Examples:
    """Return what is found in photos."""
    dim = recognizer.bundle.manifest.extractor.dim
    rows, on_product, whole = [np.zeros((0, dim), np.float32)], [np.zeros(0, bool)], [np.zeros(0, bool)]
    scores = [np.zeros(0, np.float32)]
    for photo in photos:
        found = recognizer.detect(photo.pixels_rgb, detection_threshold=_LOWEST, max_boxes=_MOST)
        pairs = pair_boxes(found.boxes_xyxy, photo.boxes_xyxy)
        rows.append(recognizer.embed(photo.pixels_rgb, found.boxes_xyxy))
        whole.append(np.isin(np.arange(len(found)), [one for one, _ in pairs]))
        on_product.append(_lie_on(found.boxes_xyxy, photo.boxes_xyxy) | whole[-1])
        scores.append(found.scores)
    return Examples(np.concatenate(rows), np.concatenate(on_product), np.concatenate(whole), np.concatenate(scores))


def _lie_on(boxes: Boxes, products: Boxes) -> NDArray[np.bool_]:
    """Return which of the boxes (N, 4) share at least half of the smaller area with one of the products (M, 4)."""
    low = np.maximum(boxes[:, None, :2], products[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], products[None, :, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    areas, others = ((some[:, 2:] - some[:, :2]).prod(axis=1) for some in (boxes, products))
    smaller = np.minimum(areas[:, None], others[None]).clip(1)
    found: NDArray[np.bool_] = (common / smaller >= _ON_IT).any(axis=1)
    return found
