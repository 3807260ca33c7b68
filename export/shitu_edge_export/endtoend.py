"""The whole way with converted networks and with the source: do their boxes lead to the same image?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shitu_edge.bundle import DetectorSpec, ExtractorSpec
from shitu_edge.imaging.geometry import Pixels
from shitu_edge.results import Detections
from shitu_edge.stages.extract import crop

from .measure import Variant, detect_all, embed_all
from .parity import match_boxes

_SAME_THING = 0.5
_TIE = 1e-6


@dataclass(frozen=True, slots=True)
class Agreement:
    """The whole way, detector to nearest image: how many of the source's boxes lead to the same image."""

    engine: str
    precision: str
    boxes: int
    agreed: int


def best_boxes(found: Detections, limit: int) -> Detections:
    """Return the first `limit` detections."""
    return Detections(found.boxes_xyxy[:limit], found.scores[:limit], found.class_ids[:limit])


def cut_crops(images: Sequence[Pixels], found: Sequence[Detections]) -> list[Pixels]:
    """Return all boxes of all images as crops, in order."""
    pairs = zip(images, found, strict=True)
    return [crop(pixels, box) for pixels, boxes in pairs for box in boxes.boxes_xyxy]


def measure_agreement(
    images: Sequence[Pixels],
    reference: Sequence[Detections],
    reference_crops: NDArray[np.float32],
    reference_wholes: NDArray[np.float32],
    detector: tuple[Variant, DetectorSpec],
    extractor: tuple[Variant, ExtractorSpec],
) -> Agreement:
    """Compare top-1: each box is looked up among the images themselves, embedded as wholes, but for its own.

    Args:
        images: (H, W, 3) uint8 RGB.
        reference: the source's best boxes of each image.
        reference_crops, reference_wholes: the source's unit rows of these boxes, in order, and of the images.
        detector, extractor: a variant of each network, and its description.
    """
    variant, spec = detector
    found = [best_boxes(boxes, spec.max_boxes) for boxes in detect_all(variant, spec, images, spec.score_threshold)]
    crops = embed_all(*extractor, cut_crops(images, found))
    wholes = embed_all(*extractor, images)
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
    return Agreement(variant.engine, variant.precision, boxes, agreed)


def _nearest(row: NDArray[np.float32], gallery: NDArray[np.float32], own: int) -> set[int]:
    """Return the most similar rows of the gallery, equal ones together; `own` is left out."""
    similarities = gallery @ row
    similarities[own] = -np.inf
    return set(np.flatnonzero(similarities >= similarities.max() - _TIE).tolist())
