"""The score that is calibrated: the similarity, less what other labels compete for the same query.

    score = s + 0.3 · ln P,    P = exp(s / 0.1) / Σ exp(s_l / 0.1)

s is the similarity of the nearest item, s_l that of the nearest item of each label among the neighbors, P the share of
the nearest label: a softmax over the neighborhood (as NAC, Vareto et al. 2023, arXiv 2301.01922), added to the
similarity because alone it forgets how near the nearest item is. An unknown object resembles several products about
equally; an enrolled one resembles its own.

The share of a label, of an object that is enrolled, is the same softmax at 0.05: at that temperature it is about as
often right as it says. After a second look, similarities are those that it supports (`Match.support`), and the formula
is the same. `benchmarks.calibration` compares the score with the plain similarity, and measures the shares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..results import LabelCandidate, Match

NEIGHBORS = 50
"""Nearest items whose labels compete. A label with so many near images of its own leaves no room for others."""
COVERAGE = 0.9
"""Sum of the shares of the labels that an enrolled object may have; the right one is among them more often."""
_TEMPERATURE, _WEIGHT = 0.1, 0.3
_SHARE_TEMPERATURE = 0.05
_ROUNDING = 1e-9


def candidates_of(matches: Sequence[Match]) -> tuple[LabelCandidate, ...]:
    """Return the labels of a query's neighbors, best first, with their shares among all that compete."""
    competing = _competing(matches, _SHARE_TEMPERATURE)
    total = sum(weight for _, weight in competing)
    return tuple(
        LabelCandidate(match.label, match.item_id, match.similarity, weight / total, inliers=match.inliers)
        for match, weight in competing
    )


def not_ruled_out(candidates: Sequence[LabelCandidate]) -> int:
    """Return how many of the first labels an enrolled object may have: their shares sum to 90 %. At least one."""
    total = 0.0
    for count, candidate in enumerate(candidates, 1):
        total += candidate.share
        if total >= COVERAGE:
            return count
    return max(1, len(candidates))


def score_of(matches: Sequence[Match]) -> float:
    """Return the score of a query's nearest label from its neighbors, best first, of which there is at least one."""
    return matches[0].support - _WEIGHT * math.log(sum(weight for _, weight in _competing(matches, _TEMPERATURE)))


def label_score(matches: Sequence[Match], label: str, similarity: float) -> float:
    """Return the score of a given label, whose nearest item has this similarity, among a query's neighbors."""
    others = [match.support for match, _ in _competing(matches, _TEMPERATURE) if match.label != label]
    return similarity - _WEIGHT * math.log(1 + sum(math.exp((one - similarity) / _TEMPERATURE) for one in others))


def _competing(matches: Sequence[Match], temperature: float) -> list[tuple[Match, float]]:
    """Return the nearest match of each label, best first, and its weight against the nearest of all."""
    best: dict[str, Match] = {}
    for match in matches[:NEIGHBORS]:
        best.setdefault(match.label, match)
    first = matches[0].support if matches else 0.0
    return [(match, math.exp((match.support - first) / temperature)) for match in best.values()]


def similarity_needed(first: float, score: float, least_score: float) -> float:
    """Return from which similarity a label of a query reaches a score, given the nearest item's similarity and score.

    By the formula above a label's score is `score - (1 + 0.3 / 0.1) · (first - s_l)`.
    """
    return first - (score - least_score) / (1 + _WEIGHT / _TEMPERATURE)


def scores_of(similarities: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the scores (Q,) of neighbors (Q, K), best first, with their label numbers; -inf stands for no neighbor.

    A query without neighbors has the score -1.
    """
    if not similarities.size:
        return np.full(len(similarities), -1.0)
    first = similarities[:, 0].astype(np.float64)
    there = np.isfinite(first)
    scores = reached(np.where(there, first, 0), log_totals(similarities, labels))
    return np.where(there, scores, -1.0)


def log_totals(similarities: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ln Σ exp(s_l / 0.1) per query (Q,), -inf without neighbors; see `scores_of`."""
    weights = np.exp(label_bests(similarities, labels).astype(np.float64) / _TEMPERATURE).sum(axis=1)
    with np.errstate(divide="ignore"):
        totals: NDArray[np.float64] = np.log(weights)
    return totals


def with_label(totals: NDArray[np.float64], similarity: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return `log_totals` with one label more, of this similarity (Q,)."""
    joined: NDArray[np.float64] = np.logaddexp(totals, similarity.astype(np.float64) / _TEMPERATURE)
    return joined


def reached(similarity: NDArray[np.floating], totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores (Q,) of labels with this similarity, among all that `log_totals` sums."""
    scores: NDArray[np.float64] = similarity - _WEIGHT * (totals - similarity / _TEMPERATURE)
    return scores


def label_bests(similarities: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return similarities (Q, K), best first, with -inf where a label occurs again."""
    earlier = np.tril(np.ones((labels.shape[1],) * 2, bool), -1)
    repeated = ((labels[:, :, None] == labels[:, None, :]) & earlier).any(axis=2)
    return np.where(repeated, np.float32(-np.inf), similarities)


def shares_of(bests: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the shares (Q, K) of labels from `label_bests`; rows without any are zero."""
    first = bests.max(axis=1, initial=-np.inf, keepdims=True).astype(np.float64)
    with np.errstate(invalid="ignore"):
        weights = np.where(np.isfinite(bests), np.exp((bests - first) / _SHARE_TEMPERATURE), 0)
    shares: NDArray[np.float64] = weights / np.maximum(weights.sum(axis=1, keepdims=True), _ROUNDING)
    return shares
