"""Nearest neighbors by cosine, exactly: one matrix product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...system.blas import SMALL_PRODUCT

Ids = NDArray[np.int64]
Rows = NDArray[np.float32]

_ROWS_AT_LEAST = 8


class ExactIndex:
    """Exact search by one matrix product, 2·N·D operations per query.

    Immutable. An index that extends another shares its rows, which are stored with room to grow.
    """

    def __init__(self, ids: Ids, vectors: Rows, dead: NDArray[np.bool_] | None = None) -> None:
        """Hold unit rows (N, D) under ids (N,), without those marked as dead."""
        self._ids = ids
        self._vectors = vectors
        self._dead = dead
        self._len = len(ids) - (0 if dead is None else int(dead.sum()))
        self._room = _Room(ids, vectors, len(ids))

    @classmethod
    def empty(cls, dim: int) -> ExactIndex:
        """Return an empty index."""
        return cls(np.empty(0, np.int64), np.empty((0, dim), np.float32))

    def extended(self, ids: Ids, vectors: Rows) -> ExactIndex:
        """Return an index with these items added."""
        old, new = len(self._ids), len(ids)
        room = self._room
        if room.filled > old or old + new > len(room.ids):  # the room is taken or too small
            ids_before, vectors_before = self._alive()
            room = _Room.with_room(ids_before, vectors_before, new)
            old, dead = len(ids_before), None
        else:
            dead = None if self._dead is None else np.concatenate([self._dead, np.zeros(new, bool)])
        room.ids[old : old + new], room.vectors[old : old + new] = ids, vectors
        room.filled = old + new
        index = ExactIndex(room.ids[: room.filled], room.vectors[: room.filled], dead)
        index._room = room
        return index

    def without(self, ids: Ids) -> ExactIndex:
        """Return an index without these items; unknown ids are ignored."""
        dead = np.isin(self._ids, ids)
        if not dead.any():
            return self
        dead |= False if self._dead is None else self._dead
        if 2 * dead.sum() > len(dead):
            return ExactIndex(self._ids[~dead], self._vectors[~dead])
        index = ExactIndex(self._ids, self._vectors, dead)
        index._room = self._room
        return index

    def __len__(self) -> int:
        return self._len

    def search(self, queries: Rows, k: int) -> tuple[Ids, Rows]:
        """Return ids and cosine similarities (Q, min(k, N)) per query row (Q, D), best first, ties by id."""
        similarities = self._similarities(queries)
        k = min(k, self._len)
        if k == 0:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        if self._dead is not None:
            similarities[:, self._dead] = -np.inf
        # The k-th best value decides, not argpartition's choice among equals.
        best = np.empty((len(queries), k), np.intp)
        for row, values in enumerate(similarities):
            floor = np.partition(values, len(values) - k)[len(values) - k]
            contenders = np.flatnonzero(values >= floor)
            best[row] = contenders[np.lexsort((self._ids[contenders], -values[contenders]))[:k]]
        return self._ids[best], np.take_along_axis(similarities, best, axis=1)

    def _alive(self) -> tuple[Ids, Rows]:
        if self._dead is None:
            return self._ids, self._vectors
        return self._ids[~self._dead], self._vectors[~self._dead]

    def _similarities(self, queries: Rows) -> Rows:
        """Return all cosines (Q, N); for few queries by products small enough for one thread."""
        step = SMALL_PRODUCT // max(1, queries.size)
        if step < _ROWS_AT_LEAST:
            step = max(1, len(self._vectors))
        similarities = np.empty((len(queries), len(self._vectors)), np.float32)
        for start in range(0, len(self._vectors), step):
            piece = slice(start, start + step)
            np.matmul(queries, self._vectors[piece].T, out=similarities[:, piece])
        return similarities


@dataclass(slots=True)
class _Room:
    """Ids (C,) and unit rows (C, D); the first `filled` are in use and never written again."""

    ids: Ids
    vectors: Rows
    filled: int

    @classmethod
    def with_room(cls, ids: Ids, vectors: Rows, more: int) -> _Room:
        """Copy rows into arrays with room for as many again, plus `more`."""
        filled, room = len(ids), 2 * len(ids) + more
        rows = cls(np.empty(room, np.int64), np.empty((room, vectors.shape[1]), np.float32), filled)
        rows.ids[:filled], rows.vectors[:filled] = ids, vectors
        return rows


def search_in_parts(queries: Rows, k: int, ids: Ids, fetch: Callable[[Ids], Rows], at_once: int) -> tuple[Ids, Rows]:
    """Search as an `ExactIndex` of ids (N,) does, with `at_once` rows in memory at a time; `fetch` returns them."""
    best = ExactIndex.empty(queries.shape[1]).search(queries, k)
    for start in range(0, len(ids), at_once):
        some = ids[start : start + at_once]
        best = merge(best, ExactIndex(some, fetch(some)).search(queries, k), k)
    return best


def merge(one: tuple[Ids, Rows], other: tuple[Ids, Rows], k: int) -> tuple[Ids, Rows]:
    """Return the best `k` of two searches, per query."""
    if other[0].shape[1] == 0:
        return one
    ids = np.concatenate([one[0], other[0]], axis=1)
    similarities = np.concatenate([one[1], other[1]], axis=1)
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(similarities, order, axis=1)
