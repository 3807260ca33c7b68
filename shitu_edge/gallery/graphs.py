"""The graph file beside a gallery: written, put on record, loaded, and dropped when another takes its place."""

from __future__ import annotations

import glob
import logging
import os
from contextlib import suppress
from pathlib import Path

from ..digest import file_sha256
from ..errors import GalleryError
from .index import GraphIndex, GraphParameters
from .store import GraphRecord, Store
from .unfinished import unfinished

_log = logging.getLogger(__name__)


class GraphFiles:
    """The graph files of one gallery. At most one is on record, and that one is never deleted.

    A file gets its name, and files are dropped, only under the store's write lock: whoever drops sees on record what
    other processes have put there, and nobody's file lies there without being on record yet.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[str] = set()

    def knows(self, record: GraphRecord) -> bool:
        """Return whether this process has made or loaded that graph, or is loading it."""
        return record.sha256 in self._known

    def load(self, record: GraphRecord) -> GraphIndex | None:
        """Return the graph on record, None (and a warning) if its file is not whole."""
        path = self._path(record.sha256)
        self._known.add(record.sha256)
        try:
            if file_sha256(path) != record.sha256:
                raise GalleryError(f"{path}: altered")
            return GraphIndex.load(path, self._store.meta.dim, record.count, record.parameters)
        except (OSError, GalleryError) as error:
            self._known.discard(record.sha256)  # it may be made again, with the same digest
            _log.warning("index not usable: %s", error)
            return None

    def save(self, graph: GraphIndex, revision: int, parameters: GraphParameters) -> None:
        """Write a graph of a revision durably and put it on record.

        Raises:
            GalleryError: it cannot be written.
        """
        try:
            with unfinished(self._store.path) as partial:
                graph.save(partial)
                record = GraphRecord(revision, file_sha256(partial), len(graph), parameters)
                self._known.add(record.sha256)
                self._store.record_graph(record, lambda: os.replace(partial, self._path(record.sha256)))
        except OSError as error:
            raise GalleryError(f"{self._store.path}: the index cannot be written: {error.strerror}") from error

    def drop_stale(self) -> None:
        """Delete the graph files beside the gallery that are not the one on record."""
        with self._store.locked():
            record = self._store.graph()
            current = self._path(record.sha256) if record else None
            for path in self._store.path.parent.glob(f"{glob.escape(self._store.path.name)}.{'[0-9a-f]' * 16}.hnsw"):
                if path != current:
                    with suppress(OSError):  # another process may still be reading it
                        path.unlink()

    def _path(self, digest: str) -> Path:
        return self._store.path.with_name(f"{self._store.path.name}.{digest[:16]}.hnsw")
