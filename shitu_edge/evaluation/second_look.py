"""What a second look makes of the same queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..calibration import LOWEST_SCORE, score_of
from ..gallery.labels import NEGATIVE
from ..results import Match
from .evaluation import LookReport
from .open_set import TARGETS, Answers
from .retrieval import Ranks


def after_second_look(
    labels: Sequence[str | None], looked: Sequence[tuple[Match, ...]], ranks: Ranks, threshold: float
) -> LookReport:
    """Return the metrics of queries after a second look at those that the first score does not name.

    Args:
        labels: of the queries (Q,), None for an unknown object without one.
        looked: their nearest items, best supported first.
        ranks: of the same queries by the vectors alone.
        threshold: score from which an object gets a label, as derived for a second look.
    """
    first = [matches[0].label if matches else NEGATIVE for matches in looked]
    scores = np.array(
        [LOWEST_SCORE if label == NEGATIVE else score_of(matches) for label, matches in zip(first, looked, strict=True)]
    )
    right = np.array([label == found for label, found in zip(labels, first, strict=True)], bool)
    at_once = ranks.score >= np.minimum(scores, threshold)
    answers = Answers(
        np.where(at_once, np.maximum(ranks.score, scores), scores),
        np.where(at_once, ranks.own_rank == 1, right),
        ranks.known,
    )
    recall = float(right[ranks.known].mean()) if ranks.known.any() else float("nan")
    targets = tuple((target, answers.at_false_accepts(target)) for target in TARGETS)
    return LookReport(recall, answers.at(threshold), targets)
