"""Retrieval metrics: how high a query's own label ranks among all gallery items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..calibration import COVERAGE, NEIGHBORS, label_bests, scores_of, shares_of

Rows = NDArray[np.float32]
Ids = NDArray[np.int64]

_CHUNK_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Means over the queries whose label the gallery has.

    Attributes:
        queries: how many there are.
        recall_at_1, recall_at_5: share of queries with an item of their label among the 1 or 5 nearest.
        mean_average_precision: of the full ranking, as in PP-ShiTu's tables: precision at each item of the query's
            label, averaged over these items, then over queries.
    """

    queries: int
    recall_at_1: float
    recall_at_5: float
    mean_average_precision: float


@dataclass(frozen=True, slots=True)
class Ranks:
    """Per query (Q,): what its ranking of the gallery says.

    Attributes:
        known: the gallery has an item of the query's label that may answer it.
        nearest: index of the nearest gallery item, -1 if none may answer.
        similarity: cosine to it, NaN if none may answer.
        own_rank: rank of the nearest item of the query's own label, from 1; 0 if not known.
        average_precision: 0..1, NaN if not known.
        score: what a calibrated threshold is compared with, -1 if none may answer.
        listed: number of labels that are not ruled out, if the query is named: the length of the pick-list.
        own_listed: the query's own label is among them.
    """

    known: NDArray[np.bool_]
    nearest: Ids
    similarity: Rows
    own_rank: Ids
    average_precision: NDArray[np.float64]
    score: NDArray[np.float64]
    listed: Ids
    own_listed: NDArray[np.bool_]

    def retrieval(self) -> Retrieval:
        """Return the means over known queries; NaN if there are none."""
        ranks, precision = self.own_rank[self.known], self.average_precision[self.known]
        if not len(ranks):
            return Retrieval(0, float("nan"), float("nan"), float("nan"))
        return Retrieval(len(ranks), float(np.mean(ranks <= 1)), float(np.mean(ranks <= 5)), float(precision.mean()))


def rank(
    queries: Rows,
    query_labels: Ids,
    gallery: Rows,
    gallery_labels: Ids,
    *,
    exclude: Callable[[slice], NDArray[np.bool_]] | None = None,
    negative: int = -1,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Ranks:
    """Rank all gallery items for each query, exactly.

    Args:
        queries, gallery: unit rows (Q, D) and (N, D).
        query_labels, gallery_labels: label numbers (Q,) and (N,); a label that the gallery does not have is an unknown
            object.
        exclude: for a slice of the queries, a mask (q, N) of items that may not answer (leave-one-out).
        negative: label number of items that are not products, which no pick-list holds; -1 for none.
        progress: called with queries done and their number.
    """
    count = len(queries)
    ranks = Ranks(
        known=np.zeros(count, bool),
        nearest=np.full(count, -1, np.int64),
        similarity=np.full(count, np.nan, np.float32),
        own_rank=np.zeros(count, np.int64),
        average_precision=np.full(count, np.nan),
        score=np.full(count, -1.0),
        listed=np.zeros(count, np.int64),
        own_listed=np.zeros(count, bool),
    )
    step = max(1, _CHUNK_BYTES // (16 * max(1, len(gallery))))
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        similarities = queries[part] @ gallery.T
        if exclude is not None:
            similarities[exclude(part)] = -np.inf
        _rank_into(ranks, part, similarities, query_labels[part], gallery_labels, negative)
        progress(part.stop, count)
    return ranks


def _rank_into(
    ranks: Ranks, part: slice, similarities: Rows, query_labels: Ids, gallery_labels: Ids, negative: int
) -> None:
    order = np.argsort(-similarities, axis=1, kind="stable")
    ordered = np.take_along_axis(similarities, order, axis=1)
    labels = gallery_labels[order]
    allowed = np.isfinite(ordered)
    any_allowed = allowed.any(axis=1)
    if labels.shape[1]:
        ranks.nearest[part] = np.where(any_allowed, order[:, 0], -1)
        ranks.similarity[part] = np.where(any_allowed, ordered[:, 0], np.nan)
    near, near_labels = ordered[:, :NEIGHBORS], labels[:, :NEIGHBORS]
    ranks.score[part] = scores_of(near, near_labels)
    possible = _possible(np.where(near_labels == negative, np.float32(-np.inf), near), near_labels)
    ranks.listed[part] = possible.sum(axis=1)
    ranks.own_listed[part] = (possible & (near_labels == query_labels[:, None])).any(axis=1)
    hits = allowed & (labels == query_labels[:, None])
    known = hits.any(axis=1)
    ranks.known[part] = known
    ranks.own_rank[part] = np.where(known, hits.argmax(axis=1) + 1 if labels.shape[1] else 0, 0)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    with np.errstate(invalid="ignore"):
        ranks.average_precision[part] = np.where(known, (precision * hits).sum(axis=1) / hits.sum(axis=1), np.nan)


def _possible(near: Rows, labels: Ids) -> NDArray[np.bool_]:
    """Return which neighbors (Q, K), best first, stand for a label that is not ruled out."""
    bests = label_bests(near, labels)
    shares = shares_of(bests)
    before = np.cumsum(shares, axis=1) - shares
    possible: NDArray[np.bool_] = np.isfinite(bests) & (before < COVERAGE)
    return possible
