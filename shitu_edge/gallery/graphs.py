"""The graph file beside a gallery: written, put on record, loaded, and dropped when another takes its place."""

from __future__ import annotations

import glob
import logging
import shutil
from contextlib import suppress
from pathlib import Path

from ..digest import file_sha256
from ..errors import GalleryError
from .index import GraphIndex
from .store import GraphRecord, Store
from .unfinished import replace, unfinished

_log = logging.getLogger(__name__)


class GraphFiles:
    """The graph files of one gallery. At most one is on record, and that one is never deleted.

    A file gets its name, and files are dropped, only under the store's write lock: whoever drops sees on record what
    other processes have put there, and nobody's file lies there without being on record yet.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unusable: tuple[str, tuple[int, ...]] | None = None

    def is_news(self, record: GraphRecord, graph: GraphIndex | None) -> bool:
        """Return whether the graph on record is another than the one in use, and its file not as unusable as it was."""
        in_use = graph is not None and graph.digest == record.sha256
        return not in_use and self._unusable != (record.sha256, self._stamp(record))

    def load(self, record: GraphRecord) -> GraphIndex | None:
        """Return the graph on record, None (and a warning) if its file is not whole."""
        stamp = self._stamp(record)
        try:
            return self.read(record)
        except GalleryError as error:
            self._unusable = record.sha256, stamp
            _log.warning("index not usable: %s", error)
            return None

    def read(self, record: GraphRecord) -> GraphIndex:
        """Return a graph on record, which nobody else has.

        Raises:
            GalleryError: its file is missing, altered, or not what the record says.
        """
        path = self._path(record.sha256)
        try:
            if file_sha256(path) != record.sha256:
                raise GalleryError(f"{path}: altered")
            graph = GraphIndex.load(path, self._store.meta.dim, record.count, record.parameters)
        except OSError as error:
            raise GalleryError(f"{path}: {error.strerror}") from error
        graph.digest = record.sha256
        return graph

    def save(self, graph: GraphIndex, revision: int) -> None:
        """Write a graph of a revision durably and put it on record.

        Raises:
            GalleryError: it cannot be written.
        """
        try:
            with unfinished(self._store.path) as partial:
                graph.save(partial)
                record = GraphRecord(file_sha256(partial), revision, len(graph), graph.parameters)
                try:
                    self._store.record_graph(record, lambda: replace(partial, self._path(record.sha256)))
                except GalleryError:
                    with suppress(GalleryError):
                        self.drop_stale()  # it has its name already and is not on record
                    raise
        except OSError as error:
            raise GalleryError(f"{self._store.path}: the index cannot be written: {error.strerror}") from error
        graph.digest = record.sha256

    def copy(self, record: GraphRecord, gallery: Path) -> None:
        """Copy a graph on record to beside a copy of the gallery; without it, that one is searched exactly."""
        source = self._path(record.sha256)
        target = gallery.with_name(source.name.replace(self._store.path.name, gallery.name, 1))
        try:
            with unfinished(target) as partial:
                shutil.copyfile(source, partial)
                replace(partial, target)
        except OSError as error:
            _log.warning("index not copied: %s: %s", target, error.strerror)

    def drop_stale(self) -> None:
        """Delete the graph files beside the gallery that are not the one on record."""
        with self._store.locked():
            record = self._store.graph()
            current = self._path(record.sha256) if record else None
            for path in self._store.path.parent.glob(f"{glob.escape(self._store.path.name)}.{'[0-9a-f]' * 16}.hnsw"):
                if path != current:
                    with suppress(OSError):  # another process may still be reading it
                        path.unlink()

    def _stamp(self, record: GraphRecord) -> tuple[int, ...]:
        """Return what changes when the file is written again."""
        try:
            found = self._path(record.sha256).stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _path(self, digest: str) -> Path:
        return self._store.path.with_name(f"{self._store.path.name}.{digest[:16]}.hnsw")
