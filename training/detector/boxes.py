"""Boxes in PyTorch: anchors, distances to boxes, overlap. All boxes are rows x1, y1, x2, y2 in pixels of the input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..networks.picodet import REG_MAX, STRIDES, HeadOutputs

_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Predictions:
    """The head's outputs for all A anchors of N images, level after level, row after row.

    `logits` (N, A), `bins` (N, A, 4, REG_MAX + 1), `centers` (A, 2) in pixels, `strides` (A,).
    """

    logits: Tensor
    bins: Tensor
    centers: Tensor
    strides: Tensor


def gather_predictions(outputs: HeadOutputs) -> Predictions:
    """Bring the head's levels into rows, in float32."""
    centers, strides = [], []
    for stride, logits in zip(STRIDES, outputs.logits, strict=True):
        rows, columns = logits.shape[2:]
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centers.append((torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((rows * columns,), float(stride)))
    device, images = outputs.logits[0].device, len(outputs.logits[0])
    return Predictions(
        torch.cat([level.float().flatten(1) for level in outputs.logits], dim=1),
        torch.cat([level.float().flatten(2).transpose(1, 2) for level in outputs.bins], dim=1).reshape(
            images, -1, 4, REG_MAX + 1
        ),
        torch.cat(centers).to(device),
        torch.cat(strides).to(device),
    )


def decode_boxes(bins: Tensor, centers: Tensor, strides: Tensor) -> Tensor:
    """Return boxes (…, 4): the mean of each side's bins (…, 4, REG_MAX + 1), in strides, from the centers (…, 2)."""
    steps = torch.arange(REG_MAX + 1, dtype=bins.dtype, device=bins.device)
    distances = (bins.softmax(dim=-1) @ steps) * strides[..., None]
    return torch.cat([centers - distances[..., :2], centers + distances[..., 2:]], dim=-1)


def overlap(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return IoU and generalized IoU (Rezatofighi et al., arXiv:1902.09630) of boxes (…, 4), broadcast."""
    inner = (torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(one[..., :2], other[..., :2])).clamp(min=0)
    outer = torch.maximum(one[..., 2:], other[..., 2:]) - torch.minimum(one[..., :2], other[..., :2])
    shared, hull = inner.prod(dim=-1), outer.prod(dim=-1)
    union = _area(one) + _area(other) - shared
    iou = shared / (union + _EPSILON)
    return iou, iou - (hull - union) / (hull + _EPSILON)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)
