"""Neighbors → decisions: threshold, margin, vote, suppression. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..bundle import DecisionPolicy
from ..calibration import NEIGHBORS, candidates_of, score_of, similarity_needed
from ..gallery.labels import NEGATIVE
from ..imaging.geometry import suppress
from ..results import SIMILARITY_ROUNDING, Box, Decision, Dropped, DropReason, Match, RecognizedItem

_ROUNDING = 1e-9
_WHOLE_PIXELS = 1.0
"""PaddleClas counts whole pixels when it suppresses recognized items."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A box with its gallery neighbors, best first. `detection_score` is None for the whole image.

    The first `policy.neighbors` decide; further ones only give the runner-up label.
    """

    box_xyxy: Box
    detection_score: float | None
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class _Verdict:
    decision: Decision
    label: str | None
    similarity: float | None
    score: float | None = None
    negative: bool = False


def asked_neighbors(policy: DecisionPolicy) -> int:
    """Return how many neighbors to ask for: if other labels count, enough to meet them behind many of the first."""
    others_count = policy.margin > 0 or policy.max_false_accept is not None
    return max(policy.neighbors, NEIGHBORS) if others_count else policy.neighbors


def decide(
    candidates: Sequence[Candidate],
    policy: DecisionPolicy,
    textured: Callable[[], bool] = lambda: True,
    least_score: float | None = None,
) -> tuple[tuple[RecognizedItem, ...], tuple[Dropped, ...]]:
    """Decide on every candidate, and drop those that a better one covers.

    Items with a label come first, by similarity, then unknown objects by detection score; each drops later ones whose
    box overlaps its own by more than `policy.suppression_iou`. With the default policy the labeled items are those of
    PaddleClas (`deploy/python/predict_system.py`), which leaves out unknown objects.

    Args:
        candidates: at most one of them is the whole image.
        policy: how to decide.
        textured: returns whether the image shows more than one color; called only for a whole image that would get a
            label, and drops it if False.
        least_score: calibrated score from which a candidate gets a label, instead of `policy.similarity_threshold`.
    """
    verdicts = [_judge(candidate.matches, policy, least_score) for candidate in candidates]
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


def _judge(matches: tuple[Match, ...], policy: DecisionPolicy, least_score: float | None) -> _Verdict:
    if not matches:
        return _Verdict("unknown", None, None)
    best: dict[str, float] = {}
    votes: dict[str, float] = {}
    score = None if least_score is None else score_of(matches)
    if score is None or least_score is None:
        # A copy's similarity is 1 up to rounding.
        threshold = min(policy.similarity_threshold, 1 - SIMILARITY_ROUNDING)
    else:
        threshold = similarity_needed(matches[0].similarity, score, least_score) - _ROUNDING
    for place, match in enumerate(matches):
        best.setdefault(match.label, match.similarity)
        if place < policy.neighbors and match.similarity >= threshold:
            votes[match.label] = votes.get(match.label, 0.0) + match.similarity
    if not votes:
        return _Verdict("unknown", None, matches[0].similarity, score)
    label = max(votes, key=votes.__getitem__) if policy.vote else matches[0].label
    if label == NEGATIVE:
        return _Verdict("unknown", None, best[label], score, negative=True)
    lead = best[label] - max((similarity for other, similarity in best.items() if other != label), default=-1.0)
    decision: Decision = "ambiguous" if policy.margin > 0 and lead < policy.margin else "accepted"
    return _Verdict(decision, label, best[label], score)


def _stands(candidate: Candidate, verdict: _Verdict, textured: Callable[[], bool]) -> bool:
    return candidate.detection_score is not None or (verdict.decision != "unknown" and textured())


def _why_not_standing(verdict: _Verdict) -> DropReason:
    if verdict.negative:
        return "negative"
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
        verdict.score,
        candidates_of([match for match in candidate.matches if match.label != NEGATIVE]),
        verdict.negative,
    )
