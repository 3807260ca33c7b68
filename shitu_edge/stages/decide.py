"""Neighbors → decisions: threshold, margin, vote, suppression. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..bundle import DecisionPolicy
from ..calibration import BY_SIMILARITY, NEIGHBORS, Naming, candidates_of, not_ruled_out, score_of, similarity_needed
from ..gallery.labels import NEGATIVE
from ..imaging.geometry import suppress
from ..results import (
    SIMILARITY_ROUNDING,
    Box,
    Decision,
    Dropped,
    DropReason,
    Evidence,
    LabelCandidate,
    Match,
    RecognizedItem,
)

_ROUNDING = 1e-9
_SHOWN_CANDIDATES = 5
_WHOLE_PIXELS = 1.0
"""PaddleClas counts whole pixels when it suppresses recognized items."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A box with its gallery neighbors, best first. `detection_score` is None for the whole image.

    The first `policy.neighbors` decide; further ones only give the runner-up label. After a second look, the best
    supported ones come first, and `evidence` returns what agrees with an item's photo. `unnamed` says why the box does
    not count unless it gets a label.
    """

    box_xyxy: Box
    detection_score: float | None
    matches: tuple[Match, ...]
    evidence: Callable[[int], Evidence | None] | None = None
    unnamed: DropReason | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the neighbors of one object say; the fields are those of `RecognizedItem`."""

    decision: Decision
    label: str | None
    similarity: float | None
    score: float | None = None
    negative: bool = False
    candidates: tuple[LabelCandidate, ...] = ()


def asked_neighbors(policy: DecisionPolicy) -> int:
    """Return how many neighbors to ask for: if other labels count, enough to meet them behind many of the first."""
    others_count = policy.margin > 0 or policy.target is not None
    return max(policy.neighbors, NEIGHBORS) if others_count else policy.neighbors


def is_doubtful(matches: tuple[Match, ...], policy: DecisionPolicy, naming: Naming, *, always: bool = False) -> bool:
    """Return whether a second look may change the answer: the score leaves no label possible, or more than one.

    It changes nothing for what resembles an item that is not a product, or has look-alikes that nobody can tell apart.
    With `always`, a single label is in doubt as well.
    """
    verdict = judge(matches, policy, naming)
    if not matches or verdict.negative or verdict.decision == "accepted":
        return always and verdict.label is not None
    possible = {one.label for one in verdict.candidates if one.possible}
    return verdict.label is None or not possible <= naming.look_alikes.get(verdict.label, frozenset())


def decide(
    candidates: Sequence[Candidate],
    policy: DecisionPolicy,
    textured: Callable[[], bool] = lambda: True,
    naming: Naming = BY_SIMILARITY,
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
        naming: the gallery's calibration; without a score, `policy.similarity_threshold` decides.
    """
    verdicts = [judge(candidate.matches, policy, naming) for candidate in candidates]
    standing = [i for i, candidate in enumerate(candidates) if _stands(candidate, verdicts[i], textured)]
    standing.sort(key=lambda i: _rank(candidates[i], verdicts[i]), reverse=True)
    boxes = np.array([candidate.box_xyxy for candidate in candidates], np.float32).reshape(-1, 4)
    kept = suppress(boxes, np.array(standing, np.intp), policy.suppression_iou, pixel=_WHOLE_PIXELS)
    items = tuple(_item(candidates[i], verdicts[i], policy) for i in kept)
    dropped = tuple(
        Dropped(
            candidate.box_xyxy,
            "suppressed" if i in standing else _why_not_standing(candidate, verdict),
            verdict.label,
            verdict.similarity,
            candidate.detection_score,
        )
        for i, (candidate, verdict) in enumerate(zip(candidates, verdicts, strict=True))
        if i not in kept
    )
    return items, dropped


def judge(matches: tuple[Match, ...], policy: DecisionPolicy, naming: Naming) -> Verdict:
    """Decide on one object by its neighbors, best first."""
    if not matches:
        return Verdict("unknown", None, None)
    score = None if naming.least_score is None else score_of(matches)
    candidates = candidates_of([match for match in matches if match.label != NEGATIVE])
    label = _named(matches, policy, _similarity_needed(matches, policy, naming, score))
    if label is None or label == NEGATIVE:
        shown = _shown([], candidates, None if label else score, naming)
        return Verdict("unknown", None, matches[0].similarity, score, label == NEGATIVE, shown)
    possible = _possible(matches, label, candidates, policy, naming)
    lead = possible[0].support - max((match.support for match in matches if match.label != label), default=-1.0)
    several = len(possible) > 1 or (policy.margin > 0 and lead < policy.margin) or label in naming.look_alikes
    shown = _shown(possible, candidates, score, naming)
    return Verdict("ambiguous" if several else "accepted", label, possible[0].similarity, score, False, shown)


def _similarity_needed(
    matches: tuple[Match, ...], policy: DecisionPolicy, naming: Naming, score: float | None
) -> float:
    """Return from which similarity a label may be named."""
    if score is None or naming.least_score is None:
        return min(policy.similarity_threshold, 1 - SIMILARITY_ROUNDING)  # a copy's similarity is 1 up to rounding
    return similarity_needed(matches[0].support, score, naming.least_score) - _ROUNDING


def _named(matches: tuple[Match, ...], policy: DecisionPolicy, threshold: float) -> str | None:
    """Return the label of the nearest item, or the one that most similarity speaks for; None below the threshold."""
    votes: dict[str, float] = {}
    for match in matches[: policy.neighbors]:
        if match.support >= threshold:
            votes[match.label] = votes.get(match.label, 0.0) + match.support
    if not votes:
        return None
    return max(votes, key=votes.__getitem__) if policy.vote else matches[0].label


def _possible(
    matches: Sequence[Match],
    label: str,
    candidates: Sequence[LabelCandidate],
    policy: DecisionPolicy,
    naming: Naming,
) -> list[LabelCandidate]:
    """Return the labels that are not ruled out for an object that is named, its own first."""
    own = next((one for one in candidates if one.label == label), None)
    if own is None:  # a vote of more neighbors than compete
        match = next(match for match in matches if match.label == label)
        own = LabelCandidate(label, match.item_id, match.similarity, 0.0, inliers=match.inliers)
    near = own.support - policy.margin if policy.margin > 0 else own.support + 1
    alike = naming.look_alikes.get(label, frozenset())
    asked = not_ruled_out(candidates) if naming.least_score is not None else 0
    others = [
        one
        for place, one in enumerate(candidates)
        if one is not own and (place < asked or one.support > near or one.label in alike)
    ]
    return [own, *others]


def _shown(
    possible: Sequence[LabelCandidate], candidates: Sequence[LabelCandidate], score: float | None, naming: Naming
) -> tuple[LabelCandidate, ...]:
    """Return the possible labels, then the nearest others, with their probabilities if the gallery supports them."""
    others = [one for one in candidates[:_SHOWN_CANDIDATES] if one not in possible]
    enrolled = naming.probability.at(score) if naming.probability and score is not None else None
    return tuple(
        replace(one, possible=place < len(possible), probability=None if enrolled is None else enrolled * one.share)
        for place, one in enumerate([*possible, *others[: max(0, _SHOWN_CANDIDATES - len(possible))]])
    )


def _stands(candidate: Candidate, verdict: Verdict, textured: Callable[[], bool]) -> bool:
    if candidate.detection_score is not None:
        return verdict.decision != "unknown" or candidate.unnamed is None
    return verdict.decision != "unknown" and textured()


def _why_not_standing(candidate: Candidate, verdict: Verdict) -> DropReason:
    if candidate.unnamed is not None:
        return candidate.unnamed
    if verdict.negative:
        return "negative"
    return "below_threshold" if verdict.decision == "unknown" else "no_texture"


def _rank(candidate: Candidate, verdict: Verdict) -> tuple[bool, float]:
    if verdict.decision == "unknown":
        return False, candidate.detection_score or 0.0
    best = next((match for match in candidate.matches if match.label == verdict.label), None)
    return True, best.support if best else 0.0


def _item(candidate: Candidate, verdict: Verdict, policy: DecisionPolicy) -> RecognizedItem:
    best = next((match for match in candidate.matches if verdict.label in (None, match.label)), None)
    evidence = candidate.evidence(best.item_id) if candidate.evidence and best else None
    inliers = 0 if evidence is None else len(evidence.object_xy)
    return RecognizedItem(
        candidate.box_xyxy,
        verdict.decision,
        verdict.label,
        verdict.similarity,
        candidate.detection_score,
        candidate.matches[: policy.neighbors],
        verdict.score,
        verdict.candidates,
        verdict.negative,
        verdict.candidates[0].probability if verdict.label is not None else None,
        "local_features" if candidate.evidence else None,
        inliers,
        evidence if inliers else None,
    )
