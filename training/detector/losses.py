"""PicoDet's loss: varifocal for scores, generalized IoU and distribution focal for boxes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..networks.picodet import REG_MAX, HeadOutputs
from .assignment import Assignment, assign
from .boxes import Predictions, decode_boxes, gather_predictions, overlap

_BOX_WEIGHT = 2.0
_DISTRIBUTION_WEIGHT = 0.25


def detection_losses(outputs: HeadOutputs, boxes: Tensor, image: Tensor) -> dict[str, Tensor]:
    """Compare the head's outputs with what is there.

    Args:
        outputs: for N images.
        boxes: (M, 4) of all things in all images, in pixels of the input.
        image: (M,) which image a thing is in.

    Returns:
        `score`, `box` and `distribution`, weighted: a training minimizes their sum.
    """
    predictions = gather_predictions(outputs)
    assignment = assign(predictions, boxes, image)
    positives = max(1, len(assignment.anchor))
    targets = torch.zeros_like(predictions.logits)
    targets[assignment.image, assignment.anchor] = assignment.quality
    score = varifocal(predictions.logits, targets) / positives
    box, distribution = _box_terms(predictions, assignment, boxes)
    return {
        "score": score,
        "box": _BOX_WEIGHT * box.sum() / positives,
        "distribution": _DISTRIBUTION_WEIGHT * distribution.sum() / positives,
    }


def varifocal(logits: Tensor, targets: Tensor, alpha: float = 0.75, gamma: float = 2.0) -> Tensor:
    """Return the varifocal loss (Zhang et al., arXiv:2008.13367), summed; a target is the IoU, 0 for background."""
    weights = torch.where(targets > 0, targets, alpha * logits.detach().sigmoid() ** gamma)
    return (functional.binary_cross_entropy_with_logits(logits, targets, reduction="none") * weights).sum()


def distribution_focal(bins: Tensor, distances: Tensor) -> Tensor:
    """Return the distribution focal loss (Li et al., arXiv:2006.04388) of bins (…, REG_MAX + 1) and distances (…,).

    Distances are in strides; those outside of the bins count as the nearest.
    """
    distances = distances.clamp(0, REG_MAX - 0.01)
    lower = distances.floor()
    share = distances - lower
    log = bins.log_softmax(dim=-1)
    below = log.gather(-1, lower.long()[..., None]).squeeze(-1)
    above = log.gather(-1, lower.long()[..., None] + 1).squeeze(-1)
    return -(below * (1 - share) + above * share)


def _box_terms(predictions: Predictions, assignment: Assignment, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positives' box and distribution losses (P,)."""
    bins = predictions.bins[assignment.image, assignment.anchor]
    centers, strides = predictions.centers[assignment.anchor], predictions.strides[assignment.anchor]
    wanted = boxes[assignment.thing]
    generalized = overlap(decode_boxes(bins, centers, strides), wanted)[1]
    distances = torch.cat([centers - wanted[:, :2], wanted[:, 2:] - centers], dim=1) / strides[:, None]
    return 1 - generalized, distribution_focal(bins, distances).mean(dim=1)
