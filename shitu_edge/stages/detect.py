"""Detector: pixels → boxes. The network's run, and the three head layouts of PicoDet exports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import BoxesScores, DetectorSpec, InputSpec, PicoDetLevels, Postprocessed
from ..engines import Session
from ..errors import EngineError
from ..imaging.geometry import Boxes, Pixels, clip_boxes, suppress
from ..results import Detections
from ..system.workers import Workers
from .shapes import ShapedNetwork, Shapes

Outputs = Mapping[str, NDArray[Any]]
_Candidates = tuple[Boxes, NDArray[np.float32], NDArray[np.int32]]
"""Boxes (N, 4) in pixels of the network's input, scores (N,), class ids (N,)."""


class Detector:
    """Finds objects in an image. Thread-safe."""

    def __init__(
        self,
        session: Session,
        spec: DetectorSpec,
        workers: Workers | None = None,
        reopen: Callable[[InputSpec], Session] | None = None,
    ) -> None:
        """Take a session of the network's own input.

        Args:
            session: open.
            spec: the network, its head and its further shapes.
            workers: threads that share the resizing of images, if any.
            reopen: opens the network for another input, when the first image of a further shape comes; without it,
                every image is looked at in the network's own shape.
        """
        self.engine = session.info
        self.max_boxes = spec.max_boxes
        self.score_threshold = spec.score_threshold
        self._shapes = Shapes(ShapedNetwork(session, spec, workers), reopen, workers)

    def detect(
        self, pixels_rgb: Pixels, *, score_threshold: float | None = None, max_boxes: int | None = None
    ) -> Detections:
        """Detect objects in pixels (H, W, 3) uint8 RGB: the best `max_boxes` (None: the bundle's) of `detect_all`."""
        return self.detect_all(pixels_rgb, score_threshold).best(self.max_boxes if max_boxes is None else max_boxes)

    def detect_all(self, pixels_rgb: Pixels, score_threshold: float | None = None) -> Detections:
        """Detect all objects in pixels (H, W, 3) uint8 RGB that the network's head keeps.

        Args:
            score_threshold: lowest score to keep, 0..1; None: the bundle's.

        Returns:
            Boxes clipped to the pixels, best first. Boxes without area are left out.
        """
        height, width = pixels_rgb.shape[:2]
        network = self._shapes.of(height, width)
        spec = network.spec
        threshold = self.score_threshold if score_threshold is None else score_threshold
        boxes, scores, classes = decode_head(spec, network.run(pixels_rgb), threshold)
        # Divided by a float32 scale as in Paddle's graph: an edge at 599.99994 instead of 600 changes the crop.
        scale_x, scale_y = spec.network.input.width / width, spec.network.input.height / height
        scales: Boxes = np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
        boxes = clip_boxes(np.divide(boxes, scales, dtype=np.float32), width, height)
        solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return Detections(boxes[solid], scores[solid], classes[solid])

    def distortion(self, height: float, width: float) -> float:
        """Return how much an image of this size is distorted, 0 for not at all; see `shapes.distortion`."""
        return self._shapes.distortion(height, width)


def decode_head(spec: DetectorSpec, outputs: Outputs, threshold: float) -> _Candidates:
    """Read a network's outputs: boxes of at least `threshold`, best first, in pixels of the network's input.

    Raises:
        EngineError: an output is missing, does not fit the layout, or holds NaN or infinity.
    """
    head = spec.head
    height, width = spec.network.input.height, spec.network.input.width
    try:
        if isinstance(head, Postprocessed):
            return _postprocessed(head, outputs, threshold, height, width)
        if isinstance(head, PicoDetLevels):
            candidates = _picodet(head, outputs, threshold, height, width)
        else:
            candidates = _boxes_scores(head, outputs, threshold, height, width)
        return _best(candidates, head.nms_top_k, head.nms_iou, head.keep_top_k)
    except (KeyError, ValueError, IndexError) as error:
        found = ", ".join(f"{name} {array.shape}" for name, array in outputs.items())
        raise EngineError(
            f"{spec.network.name}: expected outputs of the layout {head.layout}, found {found}"
        ) from error


def _picodet(head: PicoDetLevels, outputs: Outputs, threshold: float, height: int, width: int) -> _Candidates:
    """Decode the anchors of PicoDet's raw head that may be kept."""
    grids = [(-(-height // stride), -(-width // stride)) for stride in head.strides]
    tables = [_by_anchor(outputs[name], h * w, head) for name, (h, w) in zip(head.scores, grids, strict=True)]
    best = [table.max(axis=1) for table in tables]
    floor = _floor(_finite(np.concatenate(best)), threshold, head.nms_top_k if tables[0].shape[1] == 1 else None)
    levels = []
    for level, (stride, name) in enumerate(zip(head.strides, head.distances, strict=True)):
        anchors = _best_anchors(best[level], floor, head.pre_nms_top_k)
        bins = outputs[name].reshape(len(best[level]), 4, head.reg_max + 1)[anchors]
        boxes = _decode_boxes(anchors, bins, head.projection, grids[level][1], stride)
        boxes = clip_boxes(boxes, width, height) if head.clip_first else boxes
        levels.append(_of_each_class(_finite(boxes), tables[level][anchors], floor))
    return _joined(levels)


def _floor(scores: NDArray[np.float32], threshold: float, count: int | None) -> float:
    """Return the least score among the best `count` over a threshold."""
    passed = scores[scores >= threshold]
    if count is None or passed.size <= count:
        return threshold
    return float(np.partition(passed, passed.size - count)[passed.size - count])


def _of_each_class(boxes: Boxes, table: NDArray[np.float32], floor: float) -> _Candidates:
    """Return a candidate per class in which an anchor's score (N, C) is at least `floor`."""
    if not table.shape[1]:
        raise ValueError("there are no classes")
    anchors, classes = np.nonzero(table >= floor)
    return boxes[anchors], table[anchors, classes], classes.astype(np.int32)


def _joined(levels: list[_Candidates]) -> _Candidates:
    boxes, scores, classes = (np.concatenate(parts) for parts in zip(*levels, strict=True))
    return boxes, scores, classes


def _by_anchor(scores: NDArray[np.float32], anchors: int, head: PicoDetLevels) -> NDArray[np.float32]:
    """Return a view (anchors, C) of one level's scores."""
    return scores.reshape(-1, anchors).T if head.scores_order == "CN" else scores.reshape(anchors, -1)


def _best_anchors(scores: NDArray[np.float32], floor: float, count: int) -> NDArray[np.intp]:
    anchors = np.flatnonzero(scores >= floor)
    if anchors.size > count:
        anchors = anchors[np.argsort(-scores[anchors], kind="stable")[:count]]
    return anchors


def _decode_boxes(
    anchors: NDArray[np.intp], bins: NDArray[np.float32], projection: tuple[float, ...], columns: int, stride: int
) -> Boxes:
    """Decode PicoDet's boxes (Yu et al. 2021; ppdet `PicoHead`): distances are expectations over `reg_max` + 1 bins.

    Anchors are cell centers `(x + 0.5) · stride`.
    """
    centers = np.stack([anchors % columns, anchors // columns], axis=1).astype(np.float32) + np.float32(0.5)
    distances = _expectation(bins, projection)
    corners = np.concatenate([centers - distances[:, :2], centers + distances[:, 2:]], axis=1)
    boxes: Boxes = corners * np.float32(stride)
    return boxes


def _expectation(logits: NDArray[np.float32], projection: tuple[float, ...]) -> NDArray[np.float32]:
    """Return the mean bin (N, 4) under a softmax over the last axis of (N, 4, bins)."""
    rows = logits.reshape(-1, logits.shape[2])
    highest = rows.T.copy().max(axis=0)  # ten times as fast as along an axis of 8 numbers
    weights = np.exp(rows - highest[:, None])
    bins = np.array(projection or range(logits.shape[2]), np.float32)
    mean: NDArray[np.float32] = (weights @ bins) / weights.sum(axis=1)
    return mean.reshape(logits.shape[:2])


def _boxes_scores(head: BoxesScores, outputs: Outputs, threshold: float, height: int, width: int) -> _Candidates:
    boxes = outputs[head.boxes].reshape(-1, 4).astype(np.float32)
    table = outputs[head.scores].astype(np.float32)
    if len(boxes) not in (table.shape[-1:] if head.scores_order == "CN" else table.shape[:2]):
        raise ValueError("scores and boxes differ in number")
    if not len(boxes):
        return boxes, np.zeros(0, np.float32), np.zeros(0, np.int32)
    table = table.reshape(-1, len(boxes)).T if head.scores_order == "CN" else table.reshape(len(boxes), -1)
    if head.box_order == "yxyx":
        boxes = boxes[:, [1, 0, 3, 2]]
    boxes = _to_input_pixels(boxes, head.coordinates, height, width)
    boxes, scores, classes = _of_each_class(boxes, _finite(table), threshold)
    return _finite(boxes), scores, classes


def _postprocessed(head: Postprocessed, outputs: Outputs, threshold: float, height: int, width: int) -> _Candidates:
    rows = outputs[head.rows].reshape(-1, len(head.columns)).astype(np.float32)
    if head.count is not None:
        rows = rows[: int(outputs[head.count].reshape(-1)[0])]
    column = {name: rows[:, position] for position, name in enumerate(head.columns)}
    order = np.argsort(-_finite(column["score"]), kind="stable")
    order = order[column["score"][order] >= threshold]
    boxes = np.stack([column[name] for name in ("x1", "y1", "x2", "y2")], axis=1)[order]
    classes = column["class"] if "class" in column else np.zeros(len(rows), np.float32)
    boxes = _to_input_pixels(boxes, head.coordinates, height, width)
    return _finite(boxes), column["score"][order], classes[order].astype(np.int32)


def _finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Check for finite numbers; NaN would look like an empty counter."""
    if not np.isfinite(values).all():
        raise EngineError("the detector's output holds NaN or infinity; test the engines with `shitu-edge doctor`")
    return values


def _to_input_pixels(boxes: Boxes, coordinates: str, height: int, width: int) -> Boxes:
    return boxes * np.array([width, height, width, height], np.float32) if coordinates == "relative" else boxes


def _best(candidates: _Candidates, top_k: int, iou: float, limit: int) -> _Candidates:
    """Suppress among the best `top_k` of each class and keep the best `limit` of all, as Paddle's `multiclass_nms3`."""
    boxes, scores, classes = candidates
    order = _first_of_each_class(np.argsort(-scores, kind="stable"), classes, top_k)
    # Classes are shifted apart, so that one pass suppresses within each.
    apart = classes[:, None].astype(np.float32) * (boxes.max(initial=0) - boxes.min(initial=0) + 1)
    kept = suppress(boxes + apart, order, iou, keep_at_most=limit)
    return boxes[kept], scores[kept], classes[kept]


def _first_of_each_class(order: NDArray[np.intp], classes: NDArray[np.int32], count: int) -> NDArray[np.intp]:
    """Return the first `count` indices of each class in `order`."""
    if order.size <= count:
        return order
    by_class = np.argsort(classes[order], kind="stable")
    ordered = classes[order][by_class]
    rank = np.arange(order.size) - np.searchsorted(ordered, ordered)
    return order[np.sort(by_class[rank < count])]
