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
_FEW = 10
"""Positives of an image with one large thing; one with fewer weighs no more."""


def detection_losses(outputs: HeadOutputs, boxes: Tensor, image: Tensor) -> dict[str, Tensor]:
    """Compare the head's outputs with what is there.

    Args:
        outputs: for N images.
        boxes: (M, 4) of all things in all images, in pixels of the input.
        image: (M,) which image a thing is in.

    Returns:
        `score`, `box` and `distribution`, weighted: a training minimizes their sum. An image counts with the root of
        its number of positives: a shelf of sixty things would otherwise outweigh all photos of single ones.
    """
    predictions = gather_predictions(outputs)
    assignment = assign(predictions, boxes, image)
    weights = _weights(assignment.image, len(predictions.logits))
    targets = torch.zeros_like(predictions.logits)
    targets[assignment.image, assignment.anchor] = assignment.quality
    score = varifocal(predictions.logits, targets).sum(dim=1)
    box, distribution = _box_terms(predictions, assignment, boxes)
    return {
        "score": (weights * score).sum(),
        "box": _BOX_WEIGHT * (weights[assignment.image] * box).sum(),
        "distribution": _DISTRIBUTION_WEIGHT * (weights[assignment.image] * distribution).sum(),
    }


def _weights(image: Tensor, images: int) -> Tensor:
    """Return the weight of each image's positives and background (N,), from the image that each positive is in (P,)."""
    positives = torch.bincount(image, minlength=images)
    weights = positives.clamp(min=_FEW).float().rsqrt()
    return weights / (weights * positives.clamp(min=1)).sum()


def varifocal(logits: Tensor, targets: Tensor, alpha: float = 0.75, gamma: float = 2.0) -> Tensor:
    """Return the varifocal loss (Zhang et al., arXiv:2008.13367) of each logit; targets are IoUs, 0 for background."""
    weights = torch.where(targets > 0, targets, alpha * logits.detach().sigmoid() ** gamma)
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none") * weights


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
