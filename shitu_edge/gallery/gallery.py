"""What users call: a gallery of labelled embeddings that can be searched while it changes."""

from __future__ import annotations

import logging
import os
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from ..errors import FingerprintError, GalleryError
from ..results import Match
from .graphs import GraphFiles
from .index import ExactIndex, GraphIndex, GraphParameters, Ids, Index, Progress, Rows
from .store import UNIT_TOLERANCE, GraphRecord, Meta, NewItem, Store, StoredItem

_log = logging.getLogger(__name__)

GRAPH_FROM = 20_000
"""Items from which a graph beats the exact search of one picture's crops (`benchmarks/search.py`)."""

_REINDEX_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class GalleryInfo:
    """A gallery at a glance. `search` is how it is searched now: `exact` or `graph`."""

    path: str
    revision: int
    items: int
    labels: int
    dim: int
    extractor: str
    fingerprint: str
    search: str
    bytes: int


@dataclass(frozen=True, slots=True)
class _View:
    """What a search looks at: an unchanging base, and what was added since, as of a revision."""

    revision: int
    last_removal: int
    base: Index
    recent: ExactIndex
    data_version: int


class Gallery:
    """A gallery file, open. A context manager; safe from several threads and beside other processes.

    A search sees everything that was committed before it began, by this process or another. It waits for no writer
    and no index build. A graph that another process has built is loaded in the background; searches use what they had
    until it is there.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._labels: dict[int, str] = {}
        self._graphs = GraphFiles(store)
        self._refreshing = threading.Lock()
        self._indexing = threading.Lock()
        self._adoption: threading.Thread | None = None
        try:
            self._view = self._load()
        except BaseException:
            store.close()
            raise

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Gallery:
        """Open an existing gallery.

        Raises:
            GalleryError: it is missing, no gallery, or damaged.
        """
        return cls(Store.open(Path(path)))

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, extractor: str, fingerprint: str, dim: int) -> Gallery:
        """Make an empty gallery for embeddings of `dim` numbers by the extractor of that name and fingerprint.

        Raises:
            GalleryError: the file exists already or cannot be written.
        """
        return cls(Store.create(Path(path), Meta(extractor, fingerprint, dim)))

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. What was committed is on disk already."""
        if self._adoption:
            self._adoption.join()
        self._store.close()

    def __len__(self) -> int:
        view = self._current()
        return len(view.base) + len(view.recent)

    def __bool__(self) -> bool:
        return True  # also when empty: `if gallery` asks whether there is one

    @property
    def meta(self) -> Meta:
        """The extractor's name and fingerprint, and the dimension."""
        return self._store.meta

    @property
    def revision(self) -> int:
        """How many changes were committed, the creation included."""
        return self._current().revision

    def require(self, extractor: str, fingerprint: str) -> None:
        """Check that embeddings of an extractor may be searched here.

        Raises:
            FingerprintError: the gallery was made with another one.
        """
        if fingerprint != self.meta.fingerprint:
            raise FingerprintError(
                f"{self._store.path}: was made with the extractor {self.meta.extractor} ({self.meta.fingerprint[:8]}), "
                f"not with {extractor} ({fingerprint[:8]}); build it again with this bundle, or open the bundle it "
                "was made with"
            )

    def add(self, items: Iterable[NewItem], *, author: str = "", note: str = "") -> list[int]:
        """Add items as one revision, durably and all or none, and return their ids.

        Labels are stripped and brought into Unicode's composed form (NFC).

        Raises:
            GalleryError: a label is empty, or an embedding is not a unit row of the gallery's dimension.
        """
        return self._store.add((self._checked(item) for item in items), author=author, note=note)

    def search(self, queries: Rows, k: int = 5) -> list[tuple[Match, ...]]:
        """Return the `k` nearest items of each query, best first; fewer where the gallery is smaller.

        Args:
            queries: unit rows (Q, D) float32.

        Raises:
            GalleryError: the queries are no unit rows of the gallery's dimension, or `k` is not positive.
        """
        return self.search_at(queries, k)[1]

    def search_at(self, queries: Rows, k: int = 5) -> tuple[int, list[tuple[Match, ...]]]:
        """Search as `search` does; return the revision that answered, and the matches."""
        _check_queries(queries, self.meta.dim)
        if k < 1:
            raise GalleryError(f"expected k of at least 1, found {k}")
        view = self._current()
        ids, similarities = _merge(view.base.search(queries, k), view.recent.search(queries, k), k)
        return view.revision, [
            tuple(Match(int(i), self._labels[int(i)], float(s)) for i, s in zip(row_ids, row, strict=True))
            for row_ids, row in zip(ids, similarities, strict=True)
        ]

    def items(self, label: str | None = None) -> Iterator[StoredItem]:
        """Yield the items by id, all or one label's."""
        return self._store.items(label)

    def label_counts(self) -> dict[str, int]:
        """Return how many items each label has."""
        return self._store.label_counts()

    def info(self) -> GalleryInfo:
        """Return the gallery at a glance."""
        view = self._current()
        meta = self.meta
        return GalleryInfo(
            path=str(self._store.path),
            revision=view.revision,
            items=len(view.base) + len(view.recent),
            labels=len(self.label_counts()),
            dim=meta.dim,
            extractor=meta.extractor,
            fingerprint=meta.fingerprint,
            search="graph" if isinstance(view.base, GraphIndex) else "exact",
            bytes=self._store.path.stat().st_size,
        )

    def needs_graph(self) -> bool:
        """Return whether a graph would pay: the gallery is large, and has none or one that lacks many items."""
        view = self._current()
        total = len(view.base) + len(view.recent)
        current = isinstance(view.base, GraphIndex) and len(view.recent) <= _REINDEX_SHARE * total
        return total >= GRAPH_FROM and not current

    def reindex(
        self,
        parameters: GraphParameters = GraphParameters(),  # noqa: B008 (frozen)
        *,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> None:
        """Build the graph anew and swap it in; searches go on meanwhile, and a second call waits for the first.

        Raises:
            GalleryError: the gallery is empty, or the graph cannot be made or written.
        """
        with self._indexing:
            self._reindex(parameters, threads, progress)

    def _reindex(self, parameters: GraphParameters, threads: int, progress: Progress | None) -> None:
        revision = self._store.revision()
        ids, vectors = self._store.embeddings(0, revision)
        if not len(ids):
            raise GalleryError(f"{self._store.path}: is empty, there is nothing to index")
        graph = GraphIndex.build(ids, vectors, parameters, threads, progress)
        self._graphs.save(graph, revision, parameters)
        self._swap_in(graph, revision)
        self._graphs.drop_stale()

    def drop_stale_graphs(self) -> None:
        """Delete the graph files beside the gallery that are not the one on record."""
        self._graphs.drop_stale()

    def compact(self) -> None:
        """Fold the write-ahead log into the file, so that copying that one file copies the gallery."""
        self._store.compact_log()

    def _checked(self, item: NewItem) -> NewItem:
        label = unicodedata.normalize("NFC", item.label).strip()
        source = _printable(item.source)
        if not label or label != _printable(label):
            raise GalleryError(f"{source or 'an item'}: the label is {'no Unicode text' if label else 'empty'}")
        vector = np.asarray(item.embedding, np.float32)
        if vector.shape != (self.meta.dim,) or not abs(float(vector @ vector) - 1) < UNIT_TOLERANCE:
            raise GalleryError(f"{source or label}: expected a unit row ({self.meta.dim},), found {vector.shape}")
        return replace(item, label=label, source=source, embedding=vector)

    def _current(self) -> _View:
        """Return a view of everything committed by now; the price without a change is one `PRAGMA`."""
        version = self._store.data_version()
        if version != self._view.data_version:
            with self._refreshing:
                if version != self._view.data_version:
                    self._view = self._refreshed(self._view, version)
        return self._view

    def _refreshed(self, view: _View, version: int) -> _View:
        record = self._store.graph()
        load = self._store.load(since=view.revision)
        if load.last_removal > view.revision:
            return self._load()
        if record and load.last_removal <= record.revision and not self._graphs.knows(record):
            self._start_adoption(record)
        if not len(load.ids):
            return replace(view, revision=load.revision, data_version=version)
        self._labels.update(zip(load.ids.tolist(), load.labels, strict=True))
        recent = view.recent.extended(*self._store.embeddings(view.revision, load.revision))
        return _View(load.revision, load.last_removal, view.base, recent, version)

    def _load(self) -> _View:
        version = self._store.data_version()
        record = self._store.graph()  # before the items, so that it holds none that they lack
        load = self._store.load()
        self._labels.update(zip(load.ids.tolist(), load.labels, strict=True))
        graph = self._graphs.load(record) if record and load.last_removal <= record.revision else None
        if record and graph:
            recent = ExactIndex(*self._store.embeddings(record.revision, load.revision))
            return _View(load.revision, load.last_removal, graph, recent, version)
        if len(load.ids) >= GRAPH_FROM:
            path = self._store.path
            _log.warning(
                "%s has no usable index: searched exactly, which takes longer; `shitu-edge gallery index %s` builds it",
                path,
                path,
            )
        base = ExactIndex(*self._store.embeddings(0, load.revision))
        return _View(load.revision, load.last_removal, base, ExactIndex.empty(self.meta.dim), version)

    def _start_adoption(self, record: GraphRecord) -> None:
        """Begin to take over a graph that another process has put on record, unless one is being taken over."""
        if not (self._adoption and self._adoption.is_alive()):
            self._adoption = threading.Thread(target=self._adopt, args=(record,), name="shitu-graph")
            self._adoption.start()

    def _adopt(self, record: GraphRecord) -> None:
        newest: GraphRecord | None = record
        try:
            while newest and not self._graphs.knows(newest):
                record = newest
                graph = self._graphs.load(record)
                if graph:
                    self._swap_in(graph, record.revision)
                newest = self._store.graph()
                if newest == record:
                    return
        except GalleryError as error:
            _log.warning("index not taken over: %s", error)

    def _swap_in(self, graph: GraphIndex, revision: int) -> None:
        """Search a graph of a revision from now on, and exactly what came since; nobody waits for the reading."""
        recent, reached = ExactIndex.empty(self.meta.dim), revision
        while True:
            view = self._current()
            if view.last_removal > revision:
                return  # it holds an item that is no more
            recent = recent.extended(*self._store.embeddings(reached, view.revision))
            reached = view.revision
            with self._refreshing:
                if self._view.revision == reached:
                    self._view = replace(self._view, base=graph, recent=recent)
                    return


def _check_queries(queries: Rows, dim: int) -> None:
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise GalleryError(f"expected queries of shape (Q, {dim}), found {queries.shape}")
    if not np.isfinite(queries).all():
        raise GalleryError("expected queries of finite numbers, found NaN or infinity")
    lengths = np.linalg.norm(queries, axis=1)
    wrong = lengths[np.abs(lengths - 1) > UNIT_TOLERANCE]
    if len(wrong):
        raise GalleryError(f"expected queries of length 1, found one of {wrong[0]:.4g}")


def _merge(base: tuple[Ids, Rows], recent: tuple[Ids, Rows], k: int) -> tuple[Ids, Rows]:
    """Return the best `k` of two searches, per query."""
    if recent[0].shape[1] == 0:
        return base
    ids = np.concatenate([base[0], recent[0]], axis=1)
    similarities = np.concatenate([base[1], recent[1]], axis=1)
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(similarities, order, axis=1)


def _printable(text: str) -> str:
    """Put ? for what is no Unicode: the bytes of a file name in another encoding."""
    return text.encode("utf-8", "replace").decode("utf-8")
