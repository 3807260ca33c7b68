"""Differences between two sets of boxes or of embeddings, and of boxes from the truth. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import iou
from shitu_edge.results import Detections

_SAME_SCORE = 1e-4
"""Scores that close to the working threshold, or to the last box kept, may fall on either side of it."""
_SAME_BOX = 0.9
_TWIN_IOU, _TWIN_SCORE = 0.5, 1e-5
"""Of two boxes that overlap and score alike, rounding decides which one suppresses the other."""


@dataclass(frozen=True, slots=True)
class BoxParity:
    """Boxes against reference boxes, over several images.

    Attributes:
        boxes: how many the reference has.
        missed, extra: reference boxes that no box of the same class matches, and boxes that match none.
        ties: boxes of which a twin, overlapping and of the same score, was kept instead; neither missed nor extra.
        max_px, mean_px: greatest and mean difference of a matched side, in pixels of the image.
        min_iou, mean_iou: of the matched pairs.
        max_score: greatest difference of a matched score.
    """

    boxes: int
    missed: int
    extra: int
    ties: int
    max_px: float
    mean_px: float
    min_iou: float
    mean_iou: float
    max_score: float


@dataclass(frozen=True, slots=True)
class RowParity:
    """Cosines between embeddings (or flattened outputs) and the reference's."""

    rows: int
    min_cosine: float
    mean_cosine: float


def compare_boxes(pairs: Iterable[tuple[Detections, Detections]], threshold: float, limit: int) -> BoxParity:
    """Match found boxes with reference boxes, image by image.

    Args:
        pairs: reference and found detections of each image, best first, down to `threshold`.
        threshold: the working threshold; a box within 1e-4 of it is not counted as missed or extra.
        limit: how many boxes of an image were kept at most; nor is one that is no better than the last of so many.
    """
    boxes = missed = extra = ties = 0
    sides: list[NDArray[np.float32]] = []
    ious: list[float] = []
    scores: list[float] = []
    for reference, found in pairs:
        matches = match_boxes(reference, found, _SAME_BOX)
        twins = _twins(reference, found, matches)
        boxes += len(reference)
        ties += len(twins)
        paired = [(one, other) for one, other, _ in matches] + twins
        missed += _beyond_doubt(reference, found, {one for one, _ in paired}, threshold, limit)
        extra += _beyond_doubt(found, reference, {other for _, other in paired}, threshold, limit)
        for one, other, overlap in matches:
            sides.append(np.abs(reference.boxes_xyxy[one] - found.boxes_xyxy[other]))
            scores.append(float(abs(reference.scores[one] - found.scores[other])))
            ious.append(overlap)
    return BoxParity(
        boxes=boxes,
        missed=missed,
        extra=extra,
        ties=ties,
        max_px=float(np.max(sides, initial=0)),
        mean_px=float(np.mean(sides)) if sides else 0.0,
        min_iou=min(ious, default=1.0),
        mean_iou=float(np.mean(ious)) if ious else 1.0,
        max_score=max(scores, default=0.0),
    )


def _twins(reference: Detections, found: Detections, matches: list[tuple[int, int, float]]) -> list[tuple[int, int]]:
    """Pair boxes that are left over and differ by which of two twins was kept."""
    one = _without(reference, {first for first, _, _ in matches})
    other = _without(found, {second for _, second, _ in matches})
    pairs = match_boxes(one[0], other[0], _TWIN_IOU)
    alike = ((a, b) for a, b, _ in pairs if abs(one[0].scores[a] - other[0].scores[b]) <= _TWIN_SCORE)
    return [(int(one[1][a]), int(other[1][b])) for a, b in alike]


def _without(boxes: Detections, taken: set[int]) -> tuple[Detections, NDArray[np.intp]]:
    """Return the boxes that are not taken, and their places."""
    left = np.array([number for number in range(len(boxes)) if number not in taken], np.intp)
    return Detections(boxes.boxes_xyxy[left], boxes.scores[left], boxes.class_ids[left]), left


def match_boxes(reference: Detections, found: Detections, iou_from: float) -> list[tuple[int, int, float]]:
    """Pair boxes of the same class, the reference's best first, each with the free box that overlaps it most.

    Returns:
        Indices of the reference box and of the found one, and their IoU.
    """
    free = np.ones(len(found), bool)
    matches = []
    for number in range(len(reference)):
        candidates = np.flatnonzero(free & (found.class_ids == reference.class_ids[number]))
        overlaps = iou(reference.boxes_xyxy[number], found.boxes_xyxy[candidates])
        if overlaps.size and overlaps.max() >= iou_from:
            best = int(candidates[overlaps.argmax()])
            free[best] = False
            matches.append((number, best, float(overlaps.max())))
    return matches


def share_found(pairs: Sequence[tuple[Detections, Detections]], iou_from: float) -> float:
    """Return which share of the reference boxes is found again at an IoU of at least `iou_from`; 1 without any."""
    total = sum(len(reference) for reference, _ in pairs)
    found = sum(len(match_boxes(reference, other, iou_from)) for reference, other in pairs)
    return found / total if total else 1.0


def average_precision(pairs: Sequence[tuple[NDArray[np.float32], Detections]], iou_from: float = 0.5) -> float | None:
    """Return the average precision of class-agnostic detections (all-point interpolation, as PASCAL VOC from 2010).

    Args:
        pairs: true boxes (N, 4) and detections of each image.
        iou_from: least IoU of a hit; every true box counts once, for the best-scored detection on it.

    Returns:
        0..1, None when there is no true box at all.
    """
    total = sum(len(truth) for truth, _ in pairs)
    if not total:
        return None
    ranked: list[tuple[float, bool]] = []
    for truth, found in pairs:
        free = np.ones(len(truth), bool)
        for number in np.argsort(-found.scores, kind="stable"):
            overlaps = iou(found.boxes_xyxy[number], truth) * free
            hit = bool(overlaps.size) and float(overlaps.max()) >= iou_from
            if hit:
                free[overlaps.argmax()] = False
            ranked.append((float(found.scores[number]), hit))
    ranked.sort(key=lambda entry: -entry[0])
    hits = np.cumsum([hit for _, hit in ranked])
    if not hits.size:
        return 0.0
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(np.concatenate([[0], hits / total]))
    return float(np.sum(envelope * steps))


def compare_rows(reference: NDArray[np.float32], found: NDArray[np.float32]) -> RowParity:
    """Return the cosines between rows (N, D) and reference rows."""
    wide, other = reference.astype(np.float64), found.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1) * np.linalg.norm(other, axis=1)
    cosines = np.einsum("nd,nd->n", wide, other) / np.where(norms > 0, norms, 1)
    return RowParity(len(cosines), float(cosines.min(initial=1)), float(cosines.mean()) if len(cosines) else 1.0)


def recall_at_1(rows: NDArray[np.float32], labels: Sequence[str]) -> float | None:
    """Return which share of unit rows has its nearest other row under its own label; labels of one row do not count.

    Returns:
        0..1, None when no label has two rows.
    """
    names = np.array(labels)
    similarities = rows @ rows.T
    np.fill_diagonal(similarities, -np.inf)
    counted = np.array([np.sum(names == name) > 1 for name in names], bool)
    if not counted.any():
        return None
    return float(np.mean((names[similarities.argmax(axis=1)] == names)[counted]))


def _beyond_doubt(boxes: Detections, others: Detections, matched: set[int], threshold: float, limit: int) -> int:
    """Count unmatched boxes that are neither near the threshold nor at the end of a list that was cut to length."""
    last = float(others.scores[-1]) if len(others) >= limit else threshold
    sure = max(threshold, last) + _SAME_SCORE
    return sum(1 for number in range(len(boxes)) if number not in matched and boxes.scores[number] > sure)
