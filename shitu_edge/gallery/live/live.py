"""A gallery in memory: the view that follows its file, and its index."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from ...errors import GalleryError
from ..index import GraphIndex, GraphParameters, Ids, Progress
from ..index.exact import ExactIndex
from ..store import IndexRecord, Snapshot, Store
from .graphs import GraphFiles, misfit
from .sole import sole_builder
from .upkeep import Upkeep
from .view import Roster, View, contains

_log = logging.getLogger(__name__)

GRAPH_FROM = 20_000
"""Items from which an index is faster than exact search of one image's crops (`benchmarks/search.py`)."""

_PENDING_SHARE = 0.02
"""Share of items that the index may lack: comparing them costs a tenth of a search (`benchmarks/gallery.py`)."""
_DEAD_SHARE = 0.1
"""Share of removed items above which an index is rebuilt instead of extended."""


class Live:
    """The current content of a gallery, whoever changes it. Thread-safe."""

    def __init__(self, store: Store, background: bool) -> None:
        """Read the gallery; with `background`, `consider` updates its index when that pays."""
        self.graphs = GraphFiles(store)
        self.upkeep = Upkeep()
        self._store = store
        self._background = background
        self._refreshing = threading.Lock()
        self._indexing = threading.Lock()
        self._closed = False
        self._data_version = store.data_version()
        self._view = self._load()

    def close(self) -> None:
        """Cancel an index build, close the store and free the memory."""
        self.upkeep.close()
        self._store.close()
        self._closed = True
        self._view = View(0, Roster.empty(), None, 0, ExactIndex.empty(self._store.meta.dim))

    def view(self) -> View:
        """Return a view of all commits so far; without a new one that costs one `PRAGMA`."""
        if self._store.data_version() != self._data_version:
            with self._refreshing:
                version = self._store.data_version()
                if version != self._data_version:
                    self._view = self._refreshed(self._view)
                    self._data_version = version
        view = self._view
        if self._closed:  # checked after reading the view, or an empty one might be searched
            raise GalleryError(f"{self._store.path}: is closed")
        return view

    def consider(self) -> None:
        """Update the index in the background, if enabled and worthwhile."""
        try:
            if self._background and self._needs_graph(self.view()):
                self.upkeep.start(self._tend)
        except GalleryError as error:  # the change is committed, whatever happens to the index
            _log.warning("%s", error)

    def needs_graph(self) -> bool:
        """Wait for background work; return whether an index would pay."""
        self.upkeep.wait()
        return self._needs_graph(self.view())

    def reindex(self, parameters: GraphParameters | None, anew: bool, threads: int, progress: Progress | None) -> None:
        """Update the index and search it from now on; see `GalleryIndex.rebuild`."""
        self._store.home.require(self._store.path)
        with self._indexing:
            self.graphs.check_writable()
            record = self._store.index()
            parameters = parameters or (record.parameters if record else GraphParameters())
            with self._store.snapshot() as snapshot:  # kept open, so that nothing read from it is pruned
                ids = snapshot.load().added
                if not len(ids):
                    raise GalleryError(f"{self._store.path}: is empty, so there is nothing to index")
                base = None if anew or record is None else self._graph_to_extend(record, parameters, snapshot, ids)
                if base is None:
                    dim = self._store.meta.dim
                    graph = GraphIndex.build(ids, snapshot.embeddings, dim, parameters, threads, progress)
                else:
                    lacking = ids[~contains(base.ids, ids)]
                    graph = base.grow(lacking, snapshot.embeddings, parameters, threads, progress)
            self.graphs.save(graph, snapshot.revision)
            self._swap_in(graph)
            self.graphs.drop_stale()

    def _graph_to_extend(
        self, record: IndexRecord, parameters: GraphParameters, snapshot: Snapshot, ids: Ids
    ) -> GraphIndex | None:
        """Return a copy of the recorded index, unless its parameters differ or too many items are removed."""
        if replace(record.parameters, ef=parameters.ef) != parameters:
            return None
        graph = self.graphs.load(record)
        if graph is None:
            return None
        if reason := misfit(graph, snapshot, ids):
            self.graphs.refuse(graph, reason)
            return None
        return graph if contains(ids, graph.ids).sum() >= (1 - _DEAD_SHARE) * len(graph) else None

    def _load(self) -> View:
        record = self._store.index()
        graph = self.graphs.load(record) if record else None
        with self._store.snapshot() as snapshot:
            view = self._view_of(snapshot, graph)
        if len(view.roster) >= GRAPH_FROM and view.graph is None:
            path = self._store.path
            _log.warning("%s: no usable index, so searches are slower; run `shitu-edge gallery reindex %s`", path, path)
        return view

    def _view_of(self, snapshot: Snapshot, graph: GraphIndex | None) -> View:
        load = snapshot.load()
        roster = Roster.empty().changed(load.removed, load.added, load.labels, load.names)
        if graph and (reason := misfit(graph, snapshot, roster.ids)):
            self.graphs.refuse(graph, reason)
            graph = None
        return View.of(load.revision, roster, graph, self._store.meta.dim, snapshot.embeddings)

    def _refreshed(self, view: View) -> View:
        record = self._store.index()
        if record and self.graphs.is_news(record, view.graph):
            self.upkeep.start(self._tend)
        with self._store.snapshot() as snapshot:
            load = snapshot.load(since=view.revision)
            if load.whole:
                return self._view_of(snapshot, view.graph)
            return view.changed(load.revision, load.removed, load.added, load.labels, load.names, snapshot.embeddings)

    def _needs_graph(self, view: View) -> bool:
        items = len(view.roster)
        if items < GRAPH_FROM:
            return False
        graph = view.graph
        return graph is None or len(view.exact) > _PENDING_SHARE * items or view.dead > _DEAD_SHARE * len(graph)

    def _tend(self) -> None:
        """Load an index that another process recorded, and build one if that pays."""
        self._adopt()
        if self._background and self._needs_graph(self.view()):
            if self.upkeep.build_apart(self._store.path):
                self._adopt()
            else:
                with sole_builder(self._store.path) as alone:
                    if alone:
                        self.reindex(None, False, 1, self.upkeep.go_on)

    def _adopt(self) -> None:
        record = self._store.index()
        while record and self.graphs.is_news(record, self._view.graph):
            graph = self.graphs.load(record)
            if graph:
                self._swap_in(graph)
            record = self._store.index()

    def _swap_in(self, graph: GraphIndex) -> None:
        """Use an index from now on, and exact search for what it lacks; no search waits meanwhile."""
        with self._store.snapshot() as snapshot:
            view = self._view_of(snapshot, graph)
        if view.graph is None:
            return  # the index was refused; keep the one in use
        with self._refreshing:
            version = self._store.data_version()
            self._view = self._refreshed(view)
            self._data_version = version
