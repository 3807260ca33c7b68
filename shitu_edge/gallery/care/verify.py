"""Whether a gallery is sound: its file, its graph against the file, and the graph's answers against exact ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import GalleryError
from ...system.text import some
from ..index import GraphIndex, Ids, Rows
from ..index.exact import ExactIndex, merge
from ..labels import label_fault
from ..live.graphs import ROUNDING, GraphFiles
from ..live.view import Roster, View, contains
from ..store import Snapshot, Store

Progress = Callable[[str, int, int], None]
"""Called with the step (`entries` or `recall`), what is done and the total."""

_SAMPLE = 200
_NEIGHBORS = 10
_AT_ONCE = 5000
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked, and what is wrong, a line each.

    `recall` is the share of the exact 10 nearest that the graph finds for a sample of items; None without a graph.
    `advice` names labels that would not be taken today, which older galleries may hold: the gallery is sound with them.
    """

    revision: int
    items: int
    recall: float | None
    faults: tuple[str, ...]
    advice: tuple[str, ...] = ()


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
            ids, advice = snapshot.load().added, tuple(_odd_labels(snapshot))
            record = store.index()
            if record is None:
                return Verification(snapshot.revision, len(ids), None, (), advice)
            try:
                graph = GraphFiles(store).read(record)
            except GalleryError as error:
                return Verification(snapshot.revision, len(ids), None, (f"index: {error}",), advice)
            with store.snapshot() as newest:  # of which the graph may be
                last_id = newest.last_id
            faults = list(_graph_faults(graph, ids, last_id, snapshot.embeddings))
            recall = _recall(graph, ids, snapshot.embeddings, store.meta.dim, progress) if not faults else None
            return Verification(snapshot.revision, len(ids), recall, tuple(faults), advice)
    finally:
        store.close()


def _odd_labels(snapshot: Snapshot) -> Iterator[str]:
    for label in snapshot.label_counts():
        fault = label_fault(label)
        if fault:
            items = some([str(entry.id) for entry in snapshot.items(label)])
            yield f"label {label[:_SHOWN]!r} (items {items}) {fault}; use `gallery rename` or `relabel`"


def _graph_faults(graph: GraphIndex, ids: Ids, last_id: int, fetch: Callable[[Ids], Rows]) -> Iterator[str]:
    if graph.ids[-1] > last_id:
        yield f"index: holds item {graph.ids[-1]}, which the gallery never had"
    alive = graph.ids[contains(ids, graph.ids)]
    for start in range(0, len(alive), _AT_ONCE):
        some = alive[start : start + _AT_ONCE]
        wrong = ~(np.abs(graph.rows(some) - fetch(some)).max(axis=1) <= ROUNDING)  # of NaN nothing holds
        for item in some[wrong]:
            yield f"index: item {item} differs from the stored embedding"


def _recall(
    graph: GraphIndex, ids: Ids, fetch: Callable[[Ids], Rows], dim: int, progress: Progress | None
) -> float | None:
    """Compare what a search through the graph finds for a sample of items, themselves aside, with all items."""
    if len(ids) < 2:
        return None
    chosen = np.sort(np.random.default_rng(0).choice(ids, min(_SAMPLE, len(ids)), replace=False))
    queries = fetch(chosen)
    k = min(_NEIGHBORS + 1, len(ids))
    exact = ExactIndex.empty(dim).search(queries, k)
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        exact = merge(exact, ExactIndex(some, fetch(some)).search(queries, k), k)
        if progress:
            progress("recall", start + len(some), len(ids))
    roster = Roster.empty().changed(ids[:0], ids, np.zeros(len(ids), np.int32), [""])
    view = View.of(0, roster, graph, dim, fetch)
    _, similarities = view.search(queries, k)
    # By similarity, not by id: of copies of one image any will do.
    found = similarities[:, 1:] >= exact[1][:, 1:][:, -1:] - ROUNDING
    return float(found.mean())
