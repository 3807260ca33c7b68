"""Whether a gallery is sound: its file, its graph against the file, and the graph's answers against exact ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import GalleryError
from .graphs import GraphFiles
from .index import ExactIndex, GraphIndex, Ids, Rows, merge
from .store import Store
from .view import Roster, View, contains

Progress = Callable[[str, int, int], None]
"""Called with the step (`entries` or `recall`), what is done and the total."""

_SAMPLE = 200
_NEIGHBOURS = 10
_AT_ONCE = 5000
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked, and what is wrong, a line each.

    `recall` is the share of the exact 10 nearest that the graph finds for a sample of items; None without a graph.
    """

    revision: int
    items: int
    recall: float | None
    faults: tuple[str, ...]


def verify(path: Path, progress: Progress | None = None) -> Verification:
    """Check a gallery file and the graph that it has on record.

    SQLite's own integrity check, every embedding's, entry's and revision's digest, and that every embedding is a unit
    row; then that the graph's file is the one on record, holds the stored embeddings, and finds what exact search does.

    Raises:
        GalleryError: the file is missing, no gallery, or so damaged that it cannot be opened.
    """
    store = Store.open(path)
    try:
        with store.snapshot() as snapshot:
            step = (lambda done, total: progress("entries", done, total)) if progress else None
            faults = list(snapshot.faults(step))
            if faults:
                return Verification(snapshot.revision, snapshot.count(), None, tuple(faults))
            ids = snapshot.load().added
            record = store.graph()
            if record is None:
                return Verification(snapshot.revision, len(ids), None, ())
            try:
                graph = GraphFiles(store).read(record)
            except GalleryError as error:
                return Verification(snapshot.revision, len(ids), None, (f"graph: {error}",))
            faults = list(_graph_faults(graph, ids, snapshot.embeddings))
            recall = _recall(graph, ids, snapshot.embeddings, store.meta.dim, progress) if not faults else None
            return Verification(snapshot.revision, len(ids), recall, tuple(faults))
    finally:
        store.close()


def _graph_faults(graph: GraphIndex, ids: Ids, fetch: Callable[[Ids], Rows]) -> Iterator[str]:
    alive = graph.ids[contains(ids, graph.ids)]
    for start in range(0, len(alive), _AT_ONCE):
        some = alive[start : start + _AT_ONCE]
        wrong = ~(np.abs(graph.rows(some) - fetch(some)).max(axis=1) <= _ROUNDING)  # of NaN nothing holds
        for item in some[wrong]:
            yield f"graph: item {item} is not the stored embedding"


def _recall(
    graph: GraphIndex, ids: Ids, fetch: Callable[[Ids], Rows], dim: int, progress: Progress | None
) -> float | None:
    """Compare what a search through the graph finds for a sample of items, themselves aside, with all items."""
    if len(ids) < 2:
        return None
    chosen = np.sort(np.random.default_rng(0).choice(ids, min(_SAMPLE, len(ids)), replace=False))
    queries = fetch(chosen)
    k = min(_NEIGHBOURS + 1, len(ids))
    exact = ExactIndex.empty(dim).search(queries, k)
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        exact = merge(exact, ExactIndex(some, fetch(some)).search(queries, k), k)
        if progress:
            progress("recall", start + len(some), len(ids))
    roster = Roster.empty().changed(ids[:0], ids, np.zeros(len(ids), np.int32), [""])
    view = View.of(0, roster, graph, dim, fetch)
    _, similarities = view.search(queries, k)
    # By similarity, not by id: of copies of one picture any will do.
    found = similarities[:, 1:] >= exact[1][:, 1:][:, -1:] - _ROUNDING
    return float(found.mean())
