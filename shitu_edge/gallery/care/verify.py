"""Verification of a gallery: its file, its index, and the index's answers against exact search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import GalleryError
from ...system.progress import StepProgress
from ...system.text import some
from ..index import GraphIndex, Ids, Rows
from ..index.exact import search_in_parts
from ..labels import label_fault
from ..live.graphs import ROUNDING, GraphFiles
from ..live.view import Roster, View, contains
from ..store import Snapshot, Store

_SAMPLE = 200
_NEIGHBORS = 10
_AT_ONCE = 5000
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked, and a line per fault.

    `recall`: share of the exact 10 nearest that the index finds for a sample of items; None without an index. `advice`
    names labels of older galleries that would be refused today; they are not faults.
    """

    revision: int
    items: int
    recall: float | None
    faults: tuple[str, ...]
    advice: tuple[str, ...] = ()


def verify(path: Path, progress: StepProgress | None = None) -> Verification:
    """Check a gallery file and its index.

    SQLite's integrity check, all checksums, and that every embedding is a unit row; then that the index is the recorded
    file, holds the stored embeddings, and finds what exact search finds. `progress` has the steps `entries` and
    `recall`.

    Raises:
        GalleryError: the file is missing, not a gallery, or too damaged to be opened.
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
            with store.snapshot() as newest:  # the index may be of a later revision
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
        wrong = ~(np.abs(graph.rows(some) - fetch(some)).max(axis=1) <= ROUNDING)  # NaN compares as wrong
        for item in some[wrong]:
            yield f"index: item {item} differs from the stored embedding"


def _recall(
    graph: GraphIndex, ids: Ids, fetch: Callable[[Ids], Rows], dim: int, progress: StepProgress | None
) -> float | None:
    """Compare index search with exact search for a sample of items, without the items themselves."""
    if len(ids) < 2:
        return None
    chosen = np.sort(np.random.default_rng(0).choice(ids, min(_SAMPLE, len(ids)), replace=False))
    queries = fetch(chosen)
    k = min(_NEIGHBORS + 1, len(ids))

    def fetch_and_tell(some: Ids) -> Rows:
        if progress:
            progress("recall", int(np.searchsorted(ids, some[-1])) + 1, len(ids))
        return fetch(some)

    _, exact = search_in_parts(queries, k, ids, fetch_and_tell, _AT_ONCE)
    roster = Roster.empty().changed(ids[:0], ids, np.zeros(len(ids), np.int32), [""])
    view = View.of(0, roster, graph, dim, fetch)
    _, similarities = view.search(queries, k)
    # By similarity, not by id: any copy of an image counts.
    found = similarities[:, 1:] >= exact[:, 1:][:, -1:] - ROUNDING
    return float(found.mean())
