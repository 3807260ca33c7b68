"""Neighbors → decisions: threshold, margin, vote, suppression. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..bundle import DecisionPolicy
from ..imaging.geometry import suppress
from ..results import SIMILARITY_ROUNDING, Box, Decision, Dropped, DropReason, Match, RecognizedItem

_RIVALS = 50
"""Neighbors among which another label is looked for, behind many images of the first."""
_WHOLE_PIXELS = 1.0
"""PaddleClas counts pixels, not distances, when it suppresses recognized items."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A box with its gallery neighbors, best first. `detection_score` is None for the whole image.

    The first `policy.neighbors` decide; any more only show how near another label comes.
    """

    box_xyxy: Box
    detection_score: float | None
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class _Verdict:
    decision: Decision
    label: str | None
    similarity: float | None


def asked_neighbors(policy: DecisionPolicy) -> int:
    """Return how many neighbors to ask for: with a margin enough to meet another label behind many of the first."""
    return max(policy.neighbors, _RIVALS) if policy.margin > 0 else policy.neighbors


def decide(
    candidates: Sequence[Candidate], policy: DecisionPolicy, textured: Callable[[], bool] = lambda: True
) -> tuple[tuple[RecognizedItem, ...], tuple[Dropped, ...]]:
    """Name every candidate or say that it is unknown, and drop what a surer one already covers.

    Known things come first, most similar first, then unknown ones by the detector's score; each drops the later ones
    whose box overlaps its own by more than `policy.suppression_iou`. With the default policy the known items are those
    of PaddleClas (`deploy/python/predict_system.py`), which leaves unknown things out altogether.

    Args:
        candidates: at most one of them is the whole image.
        policy: how to decide.
        textured: whether the image shows more than one color; asked only about a whole image that would get a name,
            which it then does not.
    """
    verdicts = [_judge(candidate.matches, policy) for candidate in candidates]
    standing = [i for i, candidate in enumerate(candidates) if _stands(candidate, verdicts[i], textured)]
    standing.sort(key=lambda i: _rank(candidates[i], verdicts[i]), reverse=True)
    boxes = np.array([candidate.box_xyxy for candidate in candidates], np.float32).reshape(-1, 4)
    kept = suppress(boxes, np.array(standing, np.intp), policy.suppression_iou, pixel=_WHOLE_PIXELS)
    items = tuple(_item(candidates[i], verdicts[i], policy) for i in kept)
    dropped = tuple(
        Dropped(
            candidate.box_xyxy,
            "suppressed" if i in standing else _why_not_standing(verdict),
            verdict.label,
            verdict.similarity,
            candidate.detection_score,
        )
        for i, (candidate, verdict) in enumerate(zip(candidates, verdicts, strict=True))
        if i not in kept
    )
    return items, dropped


def _judge(matches: tuple[Match, ...], policy: DecisionPolicy) -> _Verdict:
    if not matches:
        return _Verdict("unknown", None, None)
    best: dict[str, float] = {}
    votes: dict[str, float] = {}
    threshold = min(policy.similarity_threshold, 1 - SIMILARITY_ROUNDING)  # a copy's similarity is 1 but for rounding
    for place, match in enumerate(matches):
        best.setdefault(match.label, match.similarity)
        if place < policy.neighbors and match.similarity >= threshold:
            votes[match.label] = votes.get(match.label, 0.0) + match.similarity
    if not votes:
        return _Verdict("unknown", None, matches[0].similarity)
    label = max(votes, key=votes.__getitem__) if policy.vote else matches[0].label
    lead = best[label] - max((similarity for other, similarity in best.items() if other != label), default=-1.0)
    return _Verdict("ambiguous" if policy.margin > 0 and lead < policy.margin else "accepted", label, best[label])


def _stands(candidate: Candidate, verdict: _Verdict, textured: Callable[[], bool]) -> bool:
    return candidate.detection_score is not None or (verdict.decision != "unknown" and textured())


def _why_not_standing(verdict: _Verdict) -> DropReason:
    return "below_threshold" if verdict.decision == "unknown" else "no_texture"


def _rank(candidate: Candidate, verdict: _Verdict) -> tuple[bool, float]:
    if verdict.decision == "unknown":
        return False, candidate.detection_score or 0.0
    return True, verdict.similarity or 0.0


def _item(candidate: Candidate, verdict: _Verdict, policy: DecisionPolicy) -> RecognizedItem:
    return RecognizedItem(
        candidate.box_xyxy,
        verdict.decision,
        verdict.label,
        verdict.similarity,
        candidate.detection_score,
        candidate.matches[: policy.neighbors],
    )
