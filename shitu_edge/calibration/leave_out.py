"""Labeled queries for free: every gallery item asks the gallery without its label, and without itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .samples import KnownScores, Samples, UnknownScores
from .score import NEIGHBORS, log_totals, reached, scores_of, with_label

Rows = NDArray[np.float32]
Ids = NDArray[np.int64]

MOST_QUERIES = 2000
LOWEST_SCORE = -3.0
"""Below any score: a similarity of -1 among 50 equal ones scores -2.2."""
_BLOCK = 4096
SAME_IMAGE = 0.999
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


def random_claims(query_labels: Ids, labels: Ids) -> Ids:
    """Return for each query (Q,) the number of another label of the gallery, at random but the same each time; -1 if
    there is none.

    Args:
        query_labels: label numbers (Q,).
        labels: label numbers of the gallery's products.
    """
    there = np.unique(labels)
    if not len(there):
        return np.full(len(query_labels), -1)
    claims = there[np.random.default_rng(1).integers(len(there), size=len(query_labels))]
    following = there[(np.searchsorted(there, claims) + 1) % len(there)]
    claims = np.where(claims == query_labels, following, claims)
    return np.where(claims == query_labels, -1, claims)


def leave_out(
    queries: Rows,
    query_labels: Ids,
    blocks: Callable[[], Iterable[tuple[Rows, Ids]]],
    pause: Callable[[], None] = lambda: None,
    *,
    negative: int = -1,
    claims: Ids | None = None,
) -> Samples:
    """Return the scores of queries, exactly: without the items of their label, without themselves, as another label.

    Labels that share an image are one product under two names, and ask without both. A query's own image, and copies of
    it, are not counted among the items of its label.

    Args:
        queries: unit rows (Q, D).
        query_labels: label numbers (Q,), from 0; numbers that no item has are products that are not enrolled.
        blocks: yields all items in parts: unit rows (n, D) and label numbers (n,); called again if labels are joined.
        pause: called between the parts.
        negative: label number of items that are not products, -1 for none. What resembles one most gets no label, so
            its score is below all others.
        claims: the label number (Q,) that each is claimed to have, as by `random_claims`; no impostors when None.
    """
    claims = np.full(len(queries), -2) if claims is None else claims
    found = _neighbors(queries, query_labels, claims, blocks(), pause)
    joined = _joined(found.best, found.labels, query_labels, negative)
    if joined is not None:
        query_labels, claims = _renumbered(query_labels, joined), _renumbered(claims, joined)
        parts = ((rows, _renumbered(row_labels, joined)) for rows, row_labels in blocks())
        found = _neighbors(queries, query_labels, claims, parts, pause)
    some = [_samples(found.part(part), query_labels[part], claims[part], negative) for part in _parts(len(queries))]
    return Samples(*(_concatenated([one[place] for one in some]) for place in range(3))) if some else Samples()


@dataclass(frozen=True, slots=True)
class _Found:
    """Similarities and labels (Q, K) of the nearest items of other labels, best first; the similarity (Q,) to the
    nearest other image of the query's own label, and of the claimed one; -inf without any."""

    best: Rows
    labels: Ids
    own: Rows
    claimed: Rows

    def part(self, part: slice) -> _Found:
        return _Found(self.best[part], self.labels[part], self.own[part], self.claimed[part])


def _samples(
    found: _Found, query_labels: Ids, claims: Ids, negative: int
) -> tuple[UnknownScores, KnownScores, UnknownScores]:
    unknown = scores_of(found.best, found.labels)
    if found.labels.shape[1]:
        first, totals = found.best[:, 0], log_totals(found.best, found.labels)
        unwanted = (found.labels[:, 0] == negative) & np.isfinite(first)
    else:
        first, totals = np.full(len(unknown), -np.inf, np.float32), np.full(len(unknown), -np.inf)
        unwanted = np.zeros(len(unknown), bool)
    unknown[unwanted] = LOWEST_SCORE
    asked = np.isfinite(found.own)
    own, first, right = found.own[asked], first[asked], found.own[asked] >= first[asked]
    known = reached(np.maximum(own, first), with_label(totals[asked], own))
    known[unwanted[asked] & ~right] = LOWEST_SCORE
    posing = np.isfinite(found.claimed) & (claims != query_labels)
    claimed = found.claimed[posing]
    among = (found.labels == claims[:, None]).any(axis=1)[posing]
    posed = reached(claimed, np.where(among, totals[posing], with_label(totals[posing], claimed)))
    return (
        UnknownScores(unknown, query_labels),
        KnownScores(known, right, query_labels[asked]),
        UnknownScores(posed, query_labels[posing]),
    )


def _concatenated(parts: Sequence[Any]) -> Any:
    """Return one sample of several."""
    return type(parts[0])(*(np.concatenate([getattr(one, name) for one in parts]) for name in parts[0].__slots__))


def _neighbors(
    queries: Rows, query_labels: Ids, claims: Ids, blocks: Iterable[tuple[Rows, Ids]], pause: Callable[[], None]
) -> _Found:
    best = np.full((len(queries), 0), -np.inf, np.float32)
    labels = np.zeros((len(queries), 0), np.int64)
    own = np.full(len(queries), -np.inf, np.float32)
    claimed = own.copy()
    for rows, row_labels in blocks:
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            similarities = queries @ rows[part].T
            same = query_labels[:, None] == row_labels[None, part]
            own = _highest(own, similarities, same & (similarities < SAME_IMAGE))
            claimed = _highest(claimed, similarities, claims[:, None] == row_labels[None, part])
            similarities[same] = -np.inf
            best, labels = _nearest(best, labels, similarities, row_labels[part])
            pause()
    order = np.argsort(-best, axis=1, kind="stable")
    return _Found(np.take_along_axis(best, order, 1), np.take_along_axis(labels, order, 1), own, claimed)


def _highest(before: Rows, similarities: Rows, which: NDArray[np.bool_]) -> Rows:
    """Return the highest similarities (Q,) so far, of those items (Q, n) that count."""
    best: Rows = np.max(similarities, axis=1, initial=-np.inf, where=which)
    return np.maximum(before, best)


def foreign_scores(
    cohort: Rows, blocks: Iterable[tuple[Rows, Ids]], pause: Callable[[], None] = lambda: None, *, negative: int = -1
) -> NDArray[np.float64]:
    """Return the scores (C,) of products (C, D) that are not the gallery's; see `leave_out`."""
    strangers = np.full(len(cohort), -2)
    found = _neighbors(cohort, strangers, strangers, blocks, pause)
    scores = [scores_of(found.best[part], found.labels[part]) for part in _parts(len(cohort))]
    together = np.concatenate(scores) if scores else np.zeros(0)
    if found.labels.shape[1]:
        together[found.labels[:, 0] == negative] = LOWEST_SCORE
    return together


def _renumbered(labels: Ids, joined: Ids) -> Ids:
    """Return label numbers with those that were joined as one; others, and negative ones, stay."""
    return np.where((labels >= 0) & (labels < len(joined)), joined[np.clip(labels, 0, len(joined) - 1)], labels)


def _joined(best: Rows, labels: Ids, query_labels: Ids, negative: int) -> Ids | None:
    """Return for each label number that of the product it belongs to; None if no two labels share an image."""
    places, columns = np.nonzero(best >= SAME_IMAGE)
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
