"""The score that is calibrated: the similarity, less what other labels compete for the same query.

    score = s + 0.3 · ln P,    P = exp(s / 0.1) / Σ exp(s_l / 0.1)

s is the similarity of the nearest item, s_l that of the nearest item of each label among the neighbors, P the share of
the nearest label: a softmax over the neighborhood (as NAC, Vareto et al. 2023, arXiv 2301.01922), added to the
similarity because alone it forgets how near the nearest item is. An unknown object resembles several products about
equally; an enrolled one resembles its own.

`benchmarks.calibration` compares it with the plain similarity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..results import LabelCandidate, Match

NEIGHBORS = 50
"""Nearest items whose labels compete. A label with so many near images of its own leaves no room for others."""
_TEMPERATURE, _WEIGHT = 0.1, 0.3


def candidates_of(matches: Sequence[Match], most: int = 5) -> tuple[LabelCandidate, ...]:
    """Return the labels of a query's neighbors, best first, with their shares among all that compete."""
    competing = _competing(matches)
    total = sum(weight for _, weight in competing)
    return tuple(
        LabelCandidate(match.label, match.item_id, match.similarity, weight / total)
        for match, weight in competing[:most]
    )


def score_of(matches: Sequence[Match]) -> float:
    """Return the score of a query's nearest label from its neighbors, best first, of which there is at least one."""
    return matches[0].similarity - _WEIGHT * math.log(sum(weight for _, weight in _competing(matches)))


def _competing(matches: Sequence[Match]) -> list[tuple[Match, float]]:
    """Return the nearest match of each label, best first, and its weight against the nearest of all."""
    best: dict[str, Match] = {}
    for match in matches[:NEIGHBORS]:
        best.setdefault(match.label, match)
    first = matches[0].similarity if matches else 0.0
    return [(match, math.exp((match.similarity - first) / _TEMPERATURE)) for match in best.values()]


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
    earlier = np.tril(np.ones((labels.shape[1],) * 2, bool), -1)
    repeated = ((labels[:, :, None] == labels[:, None, :]) & earlier).any(axis=2)
    first = similarities[:, :1].astype(np.float64)
    there = np.isfinite(first[:, 0])
    competing = np.exp((similarities - np.where(np.isfinite(first), first, 0)) / _TEMPERATURE)
    competing = np.where(repeated, 0, competing).sum(axis=1)
    scores = first[:, 0] - _WEIGHT * np.log(np.where(there, competing, 1))
    return np.where(there, scores, -1.0)
