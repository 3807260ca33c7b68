"""How well a detector finds what is there: decoding as the runtime does it, and average precision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..networks.picodet import HeadOutputs, PicoDet
from .boxes import Predictions, decode_boxes, gather_predictions, overlap
from .photos import Boxes, Photo

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LOWEST_SCORE = 0.01
_PER_LEVEL = 1000
NMS_IOU = 0.4
"""As `training.paddle.definitions` has it, which is imported without PyTorch."""
_KEEP = 100


@dataclass(frozen=True, slots=True)
class Found:
    """What a detector found in one picture, best first: boxes (N, 4) float32 x1, y1, x2, y2, scores (N,) float32."""

    boxes_xyxy: Boxes
    scores: NDArray[np.float32]


@torch.inference_mode()
def detect(network: PicoDet, photos: Sequence[Photo], size: int, batch: int = 8) -> list[Found]:
    """Find things in photos, stretched to `size` × `size` with cv2's cubic kernel as the runtime does.

    Returns:
        One entry a photo, boxes in its pixels.
    """
    device = next(network.parameters()).device
    network.eval()
    found = []
    for start in range(0, len(photos), batch):
        part = photos[start : start + batch]
        squares = [cv2.resize(photo.pixels_rgb, (size, size), interpolation=cv2.INTER_CUBIC) for photo in part]
        images = normalize(torch.from_numpy(np.stack(squares)).to(device))
        for photo, item in zip(part, decode(network(images), size, size), strict=True):
            height, width = photo.pixels_rgb.shape[:2]
            scale = np.array([width, height, width, height], np.float32) / np.float32(size)
            found.append(Found(item.boxes_xyxy * scale, item.scores))
    return found


def normalize(images: Tensor) -> Tensor:
    """Turn pictures (N, H, W, 3) uint8 RGB into the network's input (N, 3, H, W) float32, channels last in memory."""
    mean = torch.tensor(MEAN, device=images.device) * 255
    std = torch.tensor(STD, device=images.device) * 255
    return ((images - mean) / std).permute(0, 3, 1, 2)


def decode(outputs: HeadOutputs, height: int, width: int, lowest_score: float = _LOWEST_SCORE) -> list[Found]:
    """Read the head's outputs for an input of `height` × `width` as `shitu_edge.stages.detect` reads them.

    Per level the 1000 best of at least `lowest_score`; boxes clipped; suppressed at an IoU above 0.4; at most 100.
    """
    predictions = gather_predictions(outputs)
    anchors_by_level = [level.shape[2] * level.shape[3] for level in outputs.logits]
    return [
        _suppress(*_candidates(predictions, index, anchors_by_level, height, width, lowest_score))
        for index in range(len(predictions.logits))
    ]


def _candidates(
    predictions: Predictions, index: int, anchors_by_level: list[int], height: int, width: int, lowest_score: float
) -> tuple[Tensor, Tensor]:
    """Return one picture's boxes (K, 4) and scores (K,), best first."""
    scores = predictions.logits[index].sigmoid()
    best, start = [], 0
    for count in anchors_by_level:
        best.append(start + scores[start : start + count].topk(min(count, _PER_LEVEL)).indices)
        start += count
    anchors = torch.cat(best)
    anchors = anchors[scores[anchors] >= lowest_score]
    anchors = anchors[scores[anchors].argsort(descending=True, stable=True)]
    boxes = decode_boxes(predictions.bins[index, anchors], predictions.centers[anchors], predictions.strides[anchors])
    limits = torch.tensor([width, height, width, height], device=boxes.device)
    return torch.minimum(boxes.clamp(min=0), limits), scores[anchors]


def _suppress(boxes: Tensor, scores: Tensor) -> Found:
    kept: list[int] = []
    order = torch.arange(len(boxes), device=boxes.device)
    while len(order) and len(kept) < _KEEP:
        kept.append(int(order[0]))
        order = order[1:][overlap(boxes[order[0]], boxes[order[1:]])[0] <= NMS_IOU]
    return Found(boxes[kept].cpu().numpy(), scores[kept].cpu().numpy())


def evaluate_ap(detections: Sequence[Found], boxes: Sequence[Boxes], iou: float = 0.5) -> float:
    """Return the average precision, 0..1: the area under the precision envelope over all points of recall.

    Detections of all pictures are taken best first; one is right when it overlaps a box of its picture, that no better
    one has taken, by at least `iou` (the rule of COCO; Everingham et al., VOC 2010, for the area).

    Args:
        detections: one entry a picture.
        boxes: (M, 4) what is really there, one entry a picture.
        iou: the least overlap.

    Raises:
        ValueError: there is not a single box.
    """
    count = sum(len(true) for true in boxes)
    if not count:
        raise ValueError("evaluate_ap: expected at least one box, found none")
    judged = [pair for found, true in zip(detections, boxes, strict=True) for pair in _judge(found, true, iou)]
    judged.sort(key=lambda pair: -pair[0])
    right = np.array([is_right for _, is_right in judged], np.float64)
    recall = right.cumsum() / count
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * envelope).sum())


def _judge(found: Found, true: Boxes, least: float) -> Iterator[tuple[float, bool]]:
    """Yield each detection's score and whether it is right."""
    free = np.ones(len(true), bool)
    for place in np.argsort(-found.scores, kind="stable"):
        is_right = False
        if free.any():
            shares = overlap(torch.from_numpy(found.boxes_xyxy[place]), torch.from_numpy(true))[0].numpy()
            best = int(np.argmax(np.where(free, shares, -1)))
            is_right = bool(shares[best] >= least)
            free[best] &= not is_right
        yield float(found.scores[place]), is_right
