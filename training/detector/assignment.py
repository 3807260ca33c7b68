"""Assignment of objects to anchors: SimOTA (Ge et al., "YOLOX", arXiv:2107.08430; with PicoDet's costs).

For each thing, anchors in and near it are ranked by what they would cost: a classification and a box term. It gets as
many of the cheapest as its best ten predictions overlap with it in sum, at least one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .boxes import Predictions, decode_boxes, overlap

_CENTER_RADIUS = 2.5  # strides
_CANDIDATES = 10
_IOU_WEIGHT = 6.0
_OUTSIDE = 1e5
_NEVER = 1e8


@dataclass(frozen=True, slots=True)
class Assignment:
    """P positive anchors: `image` (P,), `anchor` (P,), `thing` (P,) index of its box, `quality` (P,) its IoU."""

    image: Tensor
    anchor: Tensor
    thing: Tensor
    quality: Tensor


@torch.no_grad()
def assign(predictions: Predictions, boxes: Tensor, image: Tensor) -> Assignment:
    """Give every thing its anchors.

    Args:
        predictions: of N images.
        boxes: (M, 4) of all things in all images.
        image: (M,) which image a thing is in.
    """
    if not len(boxes):
        none = torch.zeros(0, dtype=torch.long, device=boxes.device)
        return Assignment(none, none, none, torch.zeros(0, device=boxes.device))
    decoded = decode_boxes(predictions.bins, predictions.centers, predictions.strides)
    iou = overlap(decoded[image], boxes[:, None])[0]
    cost = _costs(predictions, boxes, image, iou)
    count = min(_CANDIDATES, iou.shape[1])
    wanted = iou.topk(count, dim=1).values.sum(dim=1).int().clamp(min=1)
    cheapest, anchors = cost.topk(count, dim=1, largest=False)
    chosen = (torch.arange(count, device=boxes.device) < wanted[:, None]) & (cheapest < _NEVER)
    thing, place = chosen.nonzero(as_tuple=True)
    return _without_rivals(cheapest[thing, place], anchors[thing, place], thing, image, iou)


def _costs(predictions: Predictions, boxes: Tensor, image: Tensor, iou: Tensor) -> Tensor:
    """Return what each anchor costs each thing (M, A)."""
    centers, strides = predictions.centers, predictions.strides
    inside = torch.cat([centers - boxes[:, None, :2], boxes[:, None, 2:] - centers], dim=-1).amin(dim=-1) > 0
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = (centers - middle[:, None]).abs().amax(dim=-1) < _CENTER_RADIUS * strides
    logits = predictions.logits[image]
    error = functional.binary_cross_entropy_with_logits(logits, iou, reduction="none")
    cost = error * (iou - logits.sigmoid()).square() - _IOU_WEIGHT * (iou + 1e-7).log()
    cost = cost + _OUTSIDE * ~(inside & near)
    return cost.masked_fill(~(inside | near), _NEVER)


def _without_rivals(cost: Tensor, anchor: Tensor, thing: Tensor, image: Tensor, iou: Tensor) -> Assignment:
    """Leave an anchor that several things want to the one for which it is cheapest."""
    place = image[thing] * iou.shape[1] + anchor
    order = cost.argsort(stable=True)
    order = order[place[order].argsort(stable=True)]
    first = torch.ones_like(order, dtype=torch.bool)
    first[1:] = place[order][1:] != place[order][:-1]
    order = order[first]
    return Assignment(image[thing[order]], anchor[order], thing[order], iou[thing[order], anchor[order]])
