"""Losses of another precision against float32, and the limits from which it is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shitu_edge.results import Detections

from .images import Sample
from .parity import average_precision, compare_rows, recall_at_1, share_found

_SAFE_SHARE = 0.8
"""Of the allowed distance from cosine 1 that a search may use up."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest losses of a precision against float32.

    Attributes:
        kept_boxes, kept_iou: share of float32's boxes that must be found again, at this IoU.
        lost_ap: of AP50 on images with true boxes, 0..1.
        mean_cosine: least mean cosine with float32's embeddings.
        lost_recall: of recall@1 on products, 0..1.
    """

    kept_boxes: float = 0.95
    kept_iou: float = 0.75
    lost_ap: float = 0.01
    mean_cosine: float = 0.99
    lost_recall: float = 0.005


@dataclass(frozen=True, slots=True)
class BoxLoss:
    """A detector in another precision against float32 on the same images; AP50 is None without true boxes."""

    images: int
    boxes: int
    kept: float
    float_ap50: float | None
    ap50: float | None

    def reasons(self, limits: Limits) -> tuple[str, ...]:
        """Return what exceeds the limits, a phrase each."""
        found = []
        if self.kept < limits.kept_boxes:
            found.append(f"finds {self.kept:.1%} of float32's boxes, {limits.kept_boxes:.0%} are asked for")
        if self.float_ap50 is not None and self.ap50 is not None and self.float_ap50 - self.ap50 > limits.lost_ap:
            found.append(f"AP50 falls from {self.float_ap50:.1%} to {self.ap50:.1%}, by more than {limits.lost_ap:.1%}")
        return tuple(found)

    def is_safe(self, limits: Limits) -> bool:
        """Say whether the limits hold with a margin for chance: the share kept less its standard error."""
        margin = (self.kept * (1 - self.kept) / max(self.boxes, 1)) ** 0.5
        return not replace(self, kept=self.kept - margin).reasons(limits)

    def __str__(self) -> str:
        truth = "" if self.ap50 is None else f", AP50 {self.ap50:.1%} (float32 {self.float_ap50:.1%})"
        return f"{self.kept:.1%} of float32's {self.boxes} boxes on {self.images} images{truth}"


@dataclass(frozen=True, slots=True)
class RowLoss:
    """An extractor in another precision against float32 on the same crops; recall@1 is None without products."""

    rows: int
    mean_cosine: float
    min_cosine: float
    float_recall: float | None
    recall: float | None

    def reasons(self, limits: Limits) -> tuple[str, ...]:
        """Return what exceeds the limits, a phrase each."""
        found = []
        if self.mean_cosine < limits.mean_cosine:
            found.append(f"mean cosine {self.mean_cosine:.4f}, {limits.mean_cosine} is asked for")
        lost = (self.float_recall or 0) - (self.recall or 0)
        if lost > limits.lost_recall:
            found.append(f"recall@1 falls from {self.float_recall:.1%} to {self.recall:.1%}")
        return tuple(found)

    def is_safe(self, limits: Limits) -> bool:
        """Say whether the limits hold with a margin for chance."""
        return not self.reasons(limits) and 1 - self.mean_cosine <= _SAFE_SHARE * (1 - limits.mean_cosine)

    def __str__(self) -> str:
        products = "" if self.recall is None else f", recall@1 {self.recall:.1%} (float32 {self.float_recall:.1%})"
        return f"cosine mean {self.mean_cosine:.4f}, min {self.min_cosine:.4f} on {self.rows} crops{products}"


def box_loss(
    samples: Sequence[Sample],
    reference: Sequence[Detections],
    found: Sequence[Detections],
    threshold: float,
    limits: Limits,
) -> BoxLoss:
    """Compare detections with float32's.

    Args:
        samples: the images; those with boxes count for AP50.
        reference, found: detections of each image by float32 and by the other precision, from low scores on.
        threshold: the working threshold, from which on float32's boxes have to be found again, and with such a score.
        limits: for the IoU of a box found again.
    """
    pairs = [(_from(one, threshold), _from(other, threshold)) for one, other in zip(reference, found, strict=True)]
    truths = [sample.boxes_xyxy for sample in samples]

    def ap50(detections: Sequence[Detections]) -> float | None:
        known = [(truth, one) for truth, one in zip(truths, detections, strict=True) if truth is not None]
        return average_precision(known)

    boxes = sum(len(one) for one, _ in pairs)
    return BoxLoss(len(samples), boxes, share_found(pairs, limits.kept_iou), ap50(reference), ap50(found))


def row_loss(reference: NDArray[np.float32], found: NDArray[np.float32], labels: Sequence[str] | None) -> RowLoss:
    """Compare unit rows (N, D) with float32's; `labels` are the products shown, None where they are not known."""
    parity = compare_rows(reference, found)
    recalls: Mapping[str, float | None] = {
        name: recall_at_1(rows, labels) if labels else None for name, rows in (("float", reference), ("other", found))
    }
    return RowLoss(parity.rows, parity.mean_cosine, parity.min_cosine, recalls["float"], recalls["other"])


def _from(detections: Detections, threshold: float) -> Detections:
    count = int(np.sum(detections.scores >= threshold))
    return Detections(detections.boxes_xyxy[:count], detections.scores[:count], detections.class_ids[:count])
