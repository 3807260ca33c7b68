"""Unknown objects for free: every gallery item asks the gallery without its own label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .score import NEIGHBORS, scores_of
from .threshold import UnknownScores

Rows = NDArray[np.float32]
Ids = NDArray[np.int64]

MOST_QUERIES = 2000
LOWEST_SCORE = -3.0
"""Below any score: a similarity of -1 among 50 equal ones scores -2.2."""
_BLOCK = 4096
_SAME_IMAGE = 0.999
"""Cosine from which two rows are of one image."""


def chosen_queries(labels: Ids, most: int = MOST_QUERIES) -> Ids:
    """Return places of up to `most` items (Q,) that ask: one of each label in turn, the same ones each time.

    Args:
        labels: label numbers (N,) of the items.
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    mixed = np.random.default_rng(0).permutation(len(labels))
    _, label_places = np.unique(labels[mixed], return_inverse=True)
    by_label = np.argsort(label_places, kind="stable")
    starts = np.r_[0, np.flatnonzero(np.diff(label_places[by_label])) + 1]
    turn = np.empty(len(labels), np.int64)
    turn[by_label] = np.arange(len(labels)) - np.repeat(starts, np.diff(np.r_[starts, len(labels)]))
    return np.sort(mixed[np.argsort(turn, kind="stable")[:most]])


def unknown_scores(
    queries: Rows,
    query_labels: Ids,
    blocks: Callable[[], Iterable[tuple[Rows, Ids]]],
    pause: Callable[[], None] = lambda: None,
    *,
    negative: int = -1,
) -> UnknownScores:
    """Return the scores of queries, each of which asks all items but those of its own label, exactly.

    Labels that share an image are one product under two names, and ask without both.

    Args:
        queries: unit rows (Q, D).
        query_labels: label numbers (Q,), from 0.
        blocks: yields all items in parts: unit rows (n, D) and label numbers (n,); called again if labels are joined.
        pause: called between the parts.
        negative: label number of items that are not products, -1 for none. What resembles one most gets no label, so
            its score is below all others.
    """
    best, labels = _neighbors(queries, query_labels, blocks(), pause)
    joined = _joined(best, labels, query_labels, negative)
    if joined is not None:
        query_labels = joined[query_labels]
        parts = ((rows, joined[row_labels]) for rows, row_labels in blocks())
        best, labels = _neighbors(queries, query_labels, parts, pause)
    scores = [scores_of(best[part], labels[part]) for part in _parts(len(queries))]
    found = np.concatenate(scores) if scores else np.zeros(0)
    if labels.shape[1]:
        found[labels[:, 0] == negative] = LOWEST_SCORE
    return UnknownScores(found, query_labels)


def _neighbors(
    queries: Rows, query_labels: Ids, blocks: Iterable[tuple[Rows, Ids]], pause: Callable[[], None]
) -> tuple[Rows, Ids]:
    """Return similarities and labels (Q, K) of the nearest items of other labels, best first."""
    best = np.full((len(queries), 0), -np.inf, np.float32)
    labels = np.zeros((len(queries), 0), np.int64)
    for rows, row_labels in blocks:
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            similarities = queries @ rows[part].T
            similarities[query_labels[:, None] == row_labels[None, part]] = -np.inf
            best, labels = _nearest(best, labels, similarities, row_labels[part])
            pause()
    order = np.argsort(-best, axis=1, kind="stable")
    return np.take_along_axis(best, order, 1), np.take_along_axis(labels, order, 1)


def _joined(best: Rows, labels: Ids, query_labels: Ids, negative: int) -> Ids | None:
    """Return for each label number that of the product it belongs to; None if no two labels share an image."""
    places, columns = np.nonzero(best >= _SAME_IMAGE)
    pairs = np.unique(np.stack([query_labels[places], labels[places, columns]], axis=1), axis=0)
    pairs = pairs[(pairs != negative).all(axis=1)]
    if not len(pairs):
        return None
    parent = np.arange(1 + max(int(labels.max()), int(query_labels.max())))

    def root(label: int) -> int:
        while parent[label] != label:
            parent[label] = parent[parent[label]]
            label = int(parent[label])
        return label

    for one, other in pairs.tolist():
        parent[root(one)] = root(other)
    return np.array([root(label) for label in range(len(parent))], np.int64)


def _nearest(best: Rows, labels: Ids, similarities: Rows, row_labels: Sequence[int] | Ids) -> tuple[Rows, Ids]:
    """Return the nearest of those so far and of some more, in any order."""
    joined = np.concatenate([best, similarities], axis=1)
    joined_labels = np.concatenate([labels, np.broadcast_to(row_labels, similarities.shape)], axis=1)
    if joined.shape[1] <= NEIGHBORS:
        return joined, joined_labels
    kept = np.argpartition(-joined, NEIGHBORS - 1, axis=1)[:, :NEIGHBORS]
    return np.take_along_axis(joined, kept, 1), np.take_along_axis(joined_labels, kept, 1)


def _parts(count: int, step: int = 256) -> Iterator[slice]:
    for start in range(0, count, step):
        yield slice(start, start + step)
