"""Boxes as arrays: clip, intersection over union, pairs, suppression. Pure.

All boxes are float32 rows `x1, y1, x2, y2` in pixels, x to the right and y down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
Pixels = NDArray[np.uint8]
"""RGB, (h, w, 3)."""

SAME_PLACE_IOU = 0.5
"""From this IoU a found box counts as the true one, as in PASCAL VOC."""

_BLOCK = 128
"""Boxes compared at a time; 64 and 256 are slower for the 200 to 1000 boxes of a crowded scene."""


def clip_boxes(boxes_xyxy: Boxes, width: float, height: float) -> Boxes:
    """Return the boxes (N, 4) clipped to an image of `width` × `height` pixels."""
    limits = np.array([width, height, width, height], np.float32)
    return np.clip(boxes_xyxy, np.float32(0), limits)


def iou(box_xyxy: Boxes, boxes_xyxy: Boxes, *, pixel: float = 0.0) -> NDArray[np.float32]:
    """Return the intersection over union of one box (4,) with each of N boxes (N, 4), as (N,) in 0..1.

    `pixel` is added to every side: 0 treats coordinates as continuous, 1 counts whole pixels as PaddleClas does
    when it suppresses recognized items (`deploy/python/predict_system.py`, `nms_to_rec_results`).
    Two boxes without area have an IoU of 0. Boxes (M, 1, 4) with (N, 4) give (M, N).
    """
    right, bottom = (np.minimum(box_xyxy[..., side], boxes_xyxy[..., side]) for side in (2, 3))
    left, top = (np.maximum(box_xyxy[..., side], boxes_xyxy[..., side]) for side in (0, 1))
    intersection = _area(left, top, right, bottom, pixel)
    union = _area(*_sides(boxes_xyxy), pixel) + _area(*_sides(box_xyxy), pixel) - intersection
    share: NDArray[np.float32] = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return share


def pair_boxes(found: Boxes, truth: Boxes, iou_from: float = SAME_PLACE_IOU) -> list[tuple[int, int]]:
    """Pair found boxes (N, 4) with true ones (M, 4), one to one, those that overlap most first.

    Returns:
        Indices of the found box and of the true one. Of equal overlaps the last pairs first.
    """
    if not len(found) or not len(truth):
        return []
    overlaps = iou(found[:, None], truth)
    pairs: list[tuple[int, int]] = []
    for place in np.argsort(overlaps, axis=None, kind="stable")[::-1]:
        one, other = divmod(int(place), len(truth))
        if overlaps[one, other] < iou_from:
            break
        if not any(one == taken or other == used for taken, used in pairs):
            pairs.append((one, other))
    return pairs


def suppress(
    boxes_xyxy: Boxes,
    order: NDArray[np.intp],
    iou_threshold: float,
    *,
    pixel: float = 0.0,
    keep_at_most: int | None = None,
) -> list[int]:
    """Greedy non-maximum suppression: return the kept indices, best first.

    Args:
        boxes_xyxy: (N, 4) boxes.
        order: indices into `boxes_xyxy`, best first; only these are considered.
        iou_threshold: a box whose IoU with a kept one is *greater* than this is dropped.
        pixel: see `iou`.
        keep_at_most: most kept boxes.
    """
    most = order.size if keep_at_most is None else keep_at_most
    kept: list[int] = []
    for start in range(0, order.size if most else 0, _BLOCK):
        block = order[start : start + _BLOCK]
        if kept:
            apart = iou(boxes_xyxy[block, None], boxes_xyxy[kept], pixel=pixel) <= iou_threshold
            block = block[apart.all(axis=1)]
        apart = iou(boxes_xyxy[block, None], boxes_xyxy[block], pixel=pixel) <= iou_threshold
        standing = np.ones(len(block), bool)
        for place, index in enumerate(block.tolist()):
            if standing[place]:
                kept.append(index)
                standing &= apart[place]
        if len(kept) >= most:
            break
    return kept[:most]


def _sides(boxes_xyxy: Boxes) -> tuple[Boxes, Boxes, Boxes, Boxes]:
    return boxes_xyxy[..., 0], boxes_xyxy[..., 1], boxes_xyxy[..., 2], boxes_xyxy[..., 3]


def _area(left: Boxes, top: Boxes, right: Boxes, bottom: Boxes, pixel: float) -> NDArray[np.float32]:
    area: NDArray[np.float32] = np.maximum(right - left + pixel, 0) * np.maximum(bottom - top + pixel, 0)
    return area
