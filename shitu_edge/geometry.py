"""Boxes as arrays: clip, intersection over union, suppression. Pure.

All boxes are float32 rows `x1, y1, x2, y2` in pixels, x to the right and y down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def clip_boxes(boxes_xyxy: Boxes, width: float, height: float) -> Boxes:
    """Return the boxes (N, 4) moved inside an image of `width` × `height` pixels."""
    limits = np.array([width, height, width, height], np.float32)
    return np.clip(boxes_xyxy, np.float32(0), limits)


def iou(box_xyxy: Boxes, boxes_xyxy: Boxes, *, pixel: float = 0.0) -> NDArray[np.float32]:
    """Return the intersection over union of one box (4,) with each of N boxes (N, 4), as (N,) in 0..1.

    `pixel` is added to every side: 0 treats coordinates as continuous, 1 counts whole pixels as PaddleClas does
    when it suppresses recognised items (`deploy/python/predict_system.py`, `nms_to_rec_results`).
    Two boxes without area have an IoU of 0.
    """
    top_left = np.maximum(box_xyxy[:2], boxes_xyxy[:, :2])
    bottom_right = np.minimum(box_xyxy[2:], boxes_xyxy[:, 2:])
    sides = np.maximum(bottom_right - top_left + pixel, 0)
    intersection = sides[:, 0] * sides[:, 1]
    union = _area(boxes_xyxy, pixel) + _area(box_xyxy[None], pixel) - intersection
    share: NDArray[np.float32] = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return share


def _area(boxes_xyxy: Boxes, pixel: float) -> NDArray[np.float32]:
    sides = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2] + pixel, 0)
    area: NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return area


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
        keep_at_most: stop after so many kept boxes, which makes the cost independent of N.
    """
    kept: list[int] = []
    while order.size and (keep_at_most is None or len(kept) < keep_at_most):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        order = rest[iou(boxes_xyxy[best], boxes_xyxy[rest], pixel=pixel) <= iou_threshold]
    return kept
