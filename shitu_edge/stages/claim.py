"""Neighbors → whether an object has a claimed label. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..calibration import candidates_of, label_score
from ..gallery.labels import NEGATIVE
from ..results import Calibration, Match, Verification

_SHOWN_CANDIDATES = 5
_ROUNDING = 1e-9


def check_claim(
    label: str, similarity: float, matches: Sequence[Match], calibration: Calibration | None
) -> Verification:
    """Decide whether an object has a label.

    Args:
        label: the claimed one.
        similarity: cosine to the nearest item of that label.
        matches: the nearest items of all labels, best first, at least one.
        calibration: what accepts a label; without a threshold nothing does.
    """
    score = label_score(matches, label, similarity)
    threshold = None if calibration is None else calibration.threshold
    nearest = candidates_of([match for match in matches if match.label != NEGATIVE])[:_SHOWN_CANDIDATES]
    if threshold is None:
        return Verification(label, "undecided", similarity, score, None, nearest, calibration)
    accepted = score >= threshold - _ROUNDING and matches[0].label != NEGATIVE
    return Verification(
        label, "accepted" if accepted else "rejected", similarity, score, threshold, nearest, calibration
    )
