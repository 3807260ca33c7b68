"""All items of one revision in memory, immutable, as searches use them.

That is an index of an earlier revision, exact rows of the items it lacks, and the current labels. Removed items may
still be in the index; searches skip them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from ..index import GraphIndex, Ids, Rows
from ..index.exact import ExactIndex, merge

Fetch = Callable[[Ids], Rows]
"""Returns the embeddings of items, by ascending ids."""


class Roster:
    """The ids of a revision's items, ascending, and their labels. Immutable; successors share the names."""

    def __init__(self, ids: Ids, numbers: NDArray[np.int32], names: list[str], lookup: dict[str, int]) -> None:
        self.ids = ids
        self._numbers = numbers
        self._names = names
        self._lookup = lookup

    @classmethod
    def empty(cls) -> Roster:
        """Return an empty roster."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int32), [], {})

    def __len__(self) -> int:
        return len(self.ids)

    def changed(self, gone: Ids, come: Ids, labels: NDArray[np.int32], names: Sequence[str]) -> Roster:
        """Return a roster without the ids `gone`, then with the ids `come`, both ascending.

        `labels` are indices into the distinct `names`. Call it on the newest roster only, as it extends shared names.
        """
        ids, numbers = self.ids, self._numbers
        if len(gone):
            places = np.searchsorted(ids, gone)
            assert np.array_equal(ids[places], gone)
            ids, numbers = np.delete(ids, places), np.delete(numbers, places)
        if len(come):
            places = np.searchsorted(ids, come)
            ids, numbers = np.insert(ids, places, come), np.insert(numbers, places, self._numbers_of(names)[labels])
        return Roster(ids, numbers, self._names, self._lookup)

    def holds(self, ids: Ids) -> NDArray[np.bool_]:
        """Return which ids, in an array of any shape, are in the roster."""
        return contains(self.ids, ids)

    def labels(self, ids: Ids) -> list[str]:
        """Return the labels of ids (N,), which must be in the roster."""
        return [self._names[number] for number in self._numbers[np.searchsorted(self.ids, ids)].tolist()]

    def _numbers_of(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Return the numbers of distinct labels; new ones are added."""
        new = [name for name in names if name not in self._lookup]
        self._lookup.update(zip(new, count(len(self._names)), strict=False))
        self._names.extend(new)
        return np.array([self._lookup[name] for name in names], np.int32)


@dataclass(frozen=True, slots=True)
class View:
    """A revision in memory: `dead` items of the index were removed, `exact` holds those it lacks."""

    revision: int
    roster: Roster
    graph: GraphIndex | None
    dead: int
    exact: ExactIndex

    @classmethod
    def of(cls, revision: int, roster: Roster, graph: GraphIndex | None, dim: int, fetch: Fetch) -> View:
        """Return the view of a roster with an index, or with exact rows alone."""
        if graph is None:
            return cls(revision, roster, None, 0, ExactIndex(roster.ids, fetch(roster.ids)))
        lacking = roster.ids[~contains(graph.ids, roster.ids)]
        dead = len(graph) - (len(roster) - len(lacking))
        exact = ExactIndex(lacking, fetch(lacking)) if len(lacking) else ExactIndex.empty(dim)
        return cls(revision, roster, graph, dead, exact)

    def changed(
        self, revision: int, gone: Ids, come: Ids, labels: NDArray[np.int32], names: Sequence[str], fetch: Fetch
    ) -> View:
        """Return the view of a later revision; see `Roster.changed`.

        A renamed item is in both `gone` and `come`.
        """
        roster = self.roster.changed(gone, come, labels, names)
        lost, new = np.setdiff1d(gone, come), np.setdiff1d(come, gone)
        dead = self.dead
        if self.graph is not None:
            in_graph = contains(self.graph.ids, new)
            dead += int(contains(self.graph.ids, lost).sum()) - int(in_graph.sum())
            new = new[~in_graph]
        exact = self.exact.without(lost)
        if len(new):
            exact = exact.extended(new, fetch(new))
        return View(revision, roster, self.graph, dead, exact)

    def search(self, queries: Rows, k: int, workers: Executor | None = None) -> tuple[Ids, Rows]:
        """Return ids and cosine similarities (Q, min(k, N)) of each query row (Q, D), best first."""
        ids, similarities = self.exact.search(queries, k)
        if self.graph is not None:
            alive = None if self.dead == 0 else self.roster.holds
            found = self.graph.search(queries, min(k, len(self.graph) - self.dead), alive, workers)
            ids, similarities = merge(found, (ids, similarities), k)
        return ids, similarities.clip(-1, 1)  # rows have length 1 up to rounding


def contains(ids: Ids, wanted: Ids) -> NDArray[np.bool_]:
    """Return which of the wanted ids, in any shape, are among ascending ids."""
    if not len(ids):
        return np.zeros(wanted.shape, bool)
    places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.asarray(ids[places] == wanted)
