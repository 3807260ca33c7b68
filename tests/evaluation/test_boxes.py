"""Average precision against pycocotools."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from shitu_edge.evaluation.boxes import COCO_IOUS, average_precision
from shitu_edge.results import Detections

Image = tuple[NDArray[np.float32], Detections]


def images(seed: int, count: int = 30) -> list[Image]:
    """Things, detections near some of them with doubles, and others anywhere; some images have none of either."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        corners = rng.uniform(0, 400, (rng.integers(0, 6), 2))
        truth = np.concatenate([corners, corners + rng.uniform(60, 200, corners.shape)], 1).astype(np.float32)
        near = truth[rng.integers(0, len(truth), rng.integers(0, 9))] if len(truth) else truth
        near = near + rng.normal(0, 8, near.shape).astype(np.float32)
        anywhere = rng.uniform(0, 400, (rng.integers(0, 4), 2))
        boxes = np.concatenate([near, np.concatenate([anywhere, anywhere + 90], 1)]).astype(np.float32)
        scores = rng.random(len(boxes)).round(2).astype(np.float32)
        found.append((truth, Detections(boxes, scores, np.zeros(len(boxes), np.int32))))
    return found


def by_pycocotools(sample: list[Image]) -> dict[float, float]:
    """Return AP by IoU."""

    def xywh(box: NDArray[np.float32]) -> list[float]:
        return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]

    annotations = [
        {"id": 0, "image_id": number, "category_id": 1, "bbox": xywh(box), "area": 5000.0, "iscrowd": 0}
        for number, (truth, _) in enumerate(sample)
        for box in truth
    ]
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number
    results = [
        {"image_id": number, "category_id": 1, "bbox": xywh(box), "score": float(score)}
        for number, (_, found) in enumerate(sample)
        for box, score in zip(found.boxes_xyxy, found.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": number} for number in range(len(sample))],
            "categories": [{"id": 1}],
            "annotations": annotations,
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, 0, -1]  # (IoU, recall), all areas, 100 detections
    return {share: float(row.mean()) for share, row in zip(COCO_IOUS, precision, strict=True)}


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_equals_pycocotools(seed: int) -> None:
    sample = images(seed)
    for share, expected in by_pycocotools(sample).items():
        assert average_precision(sample, share) == pytest.approx(expected, abs=1e-6), share


def test_average_precision_worked_by_hand() -> None:
    truth = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
    boxes = np.array([[0, 0, 10, 10], [50, 50, 60, 60], [20, 0, 30, 10]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int32))
    # Precision 1 up to recall 0.5 (51 of 101 recalls), then 2/3.
    assert average_precision([(truth, found)], 0.5) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert average_precision([(truth, found.best(0))], 0.5) == 0
    assert np.isnan(average_precision([(truth[:0], found)], 0.5))
