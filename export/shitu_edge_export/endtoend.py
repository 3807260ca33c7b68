"""The whole way with converted networks and with the source: do their boxes lead to the same picture?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shitu_edge.bundle import DetectorSpec, ExtractorSpec
from shitu_edge.results import Detections
from shitu_edge.stages.extract import crop

from .measure import Form, Pixels, detect_all, embed_all
from .parity import match_boxes

_SAME_THING = 0.5
_TIE = 1e-6


@dataclass(frozen=True, slots=True)
class Agreement:
    """The whole way, detector to nearest picture: how many of the source's boxes lead to the same picture."""

    engine: str
    precision: str
    boxes: int
    agreed: int


def best_boxes(found: Detections, limit: int) -> Detections:
    """Return the first `limit` detections."""
    return Detections(found.boxes_xyxy[:limit], found.scores[:limit], found.class_ids[:limit])


def cut_crops(pictures: Sequence[Pixels], found: Sequence[Detections]) -> list[Pixels]:
    """Return all boxes of all pictures as crops, in order."""
    pairs = zip(pictures, found, strict=True)
    return [crop(pixels, box) for pixels, boxes in pairs for box in boxes.boxes_xyxy]


def measure_agreement(
    pictures: Sequence[Pixels],
    reference: Sequence[Detections],
    reference_crops: NDArray[np.float32],
    reference_wholes: NDArray[np.float32],
    detector: tuple[Form, DetectorSpec],
    extractor: tuple[Form, ExtractorSpec],
) -> Agreement:
    """Compare top-1: each box is looked up among the pictures themselves, embedded as wholes, but for its own.

    Args:
        pictures: (H, W, 3) uint8 RGB.
        reference: the source's best boxes of each picture.
        reference_crops, reference_wholes: the source's unit rows of these boxes, in order, and of the pictures.
        detector, extractor: a form of each network, and its description.
    """
    form, spec = detector
    found = [best_boxes(boxes, spec.max_boxes) for boxes in detect_all(form, spec, pictures, spec.score_threshold)]
    crops = embed_all(*extractor, cut_crops(pictures, found))
    wholes = embed_all(*extractor, pictures)
    boxes = agreed = offset = other_offset = 0
    for number, (one, other) in enumerate(zip(reference, found, strict=True)):
        matches = {first: second for first, second, _ in match_boxes(one, other, _SAME_THING)}
        for position in range(len(one)):
            boxes += 1
            if position in matches:
                expected = _nearest(reference_crops[offset + position], reference_wholes, number)
                answer = _nearest(crops[other_offset + matches[position]], wholes, number)
                agreed += bool(expected & answer)
        offset, other_offset = offset + len(one), other_offset + len(other)
    return Agreement(form.engine, form.precision, boxes, agreed)


def _nearest(row: NDArray[np.float32], gallery: NDArray[np.float32], own: int) -> set[int]:
    """Return the most similar rows of the gallery, equal ones together; `own` is left out."""
    similarities = gallery @ row
    similarities[own] = -np.inf
    return set(np.flatnonzero(similarities >= similarities.max() - _TIE).tolist())
