"""The graph file beside a gallery: written, put on record, loaded, and dropped when another takes its place."""

from __future__ import annotations

import errno
import glob
import logging
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ...errors import GalleryError
from ...system.digest import file_sha256
from ...system.files import open_regular
from ...system.unfinished import replace, unfinished
from ..index import GraphIndex, Ids
from ..store import IndexRecord, Snapshot, Store
from .view import contains

_log = logging.getLogger(__name__)

ROUNDING = 1e-5
"""How far a number in a graph may be from the stored one: hnswlib divides rows by their length once more."""
_SAMPLE = 64
_COPY_AT_ONCE = 1 << 20


class GraphFiles:
    """The graph files of one gallery. At most one is on record, and that one is never deleted.

    A file gets its name, and files are dropped, only under the store's write lock: whoever drops sees on record what
    other processes have put there, and nobody's file lies there without being on record yet.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unusable: tuple[str, tuple[int, ...]] | None = None

    def is_news(self, record: IndexRecord, graph: GraphIndex | None) -> bool:
        """Return whether the graph on record is another than the one in use, and its file not as unusable as it was."""
        in_use = graph is not None and graph.digest == record.sha256
        return not in_use and self._unusable != (record.sha256, self._stamp(record.sha256))

    def load(self, record: IndexRecord) -> GraphIndex | None:
        """Return the graph on record, None (and a warning) if its file is not sound."""
        stamp = self._stamp(record.sha256)
        try:
            return self.read(record)
        except GalleryError as error:
            self._unusable = record.sha256, stamp
            _log.warning("index not usable: %s", error)
            return None

    def read(self, record: IndexRecord) -> GraphIndex:
        """Return a graph on record, which nobody else has.

        Raises:
            GalleryError: its file is missing, altered, unsound, or not what the record says.
        """
        path = self._path(record.sha256)
        try:
            return GraphIndex.load(path, self._store.meta.dim, record.count, record.parameters, record.sha256)
        except OSError as error:
            raise GalleryError(f"{path}: {error.strerror}") from error

    def refuse(self, graph: GraphIndex, reason: str) -> None:
        """Take a graph on record for unusable, and warn.

        It is taken off the record too: an item that is added later may be what a forged graph says that it is not.
        """
        assert graph.digest
        self._unusable = graph.digest, self._stamp(graph.digest)
        _log.warning("index not usable: %s: %s", self._path(graph.digest), reason)
        with suppress(GalleryError):
            self._store.forget_index(graph.digest)

    def check_writable(self) -> None:
        """Check that a graph could be written and put on record, before the minutes that it takes to build.

        Raises:
            GalleryError: the gallery or its folder cannot be written here.
        """
        path = self._store.path
        with self._written():
            with unfinished(path) as partial:
                partial.touch()
            if not os.access(path, os.W_OK):
                raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)

    def save(self, graph: GraphIndex, revision: int) -> None:
        """Write a graph of a revision durably and put it on record.

        Raises:
            GalleryError: it cannot be written.
        """
        with self._written(), unfinished(self._store.path) as partial:
            graph.save(partial)
            record = IndexRecord(file_sha256(partial), revision, len(graph), graph.parameters)
            try:
                self._store.record_index(record, lambda: replace(partial, self._path(record.sha256)))
            except GalleryError:
                with suppress(GalleryError):
                    self.drop_stale()  # it has its name already and is not on record
                raise
        graph.digest = record.sha256

    def copy(self, record: IndexRecord, gallery: Path) -> None:
        """Copy a graph on record to beside a copy of the gallery; without it, that one is searched exactly."""
        source = self._path(record.sha256)
        target = gallery.with_name(source.name.replace(self._store.path.name, gallery.name, 1))
        try:
            with unfinished(target) as partial:
                with open_regular(source) as original, partial.open("xb") as copied:
                    shutil.copyfileobj(original, copied, _COPY_AT_ONCE)
                replace(partial, target)
        except OSError as error:
            _log.warning("index not copied: %s: %s", target, error.strerror)

    def drop_stale(self) -> None:
        """Delete the graph files beside the gallery that are not the one on record."""
        with self._store.locked():
            record = self._store.index()
            current = self._path(record.sha256) if record else None
            for path in self._store.path.parent.glob(f"{glob.escape(self._store.path.name)}.{'[0-9a-f]' * 16}.hnsw"):
                if path != current:
                    with suppress(OSError):  # another process may still be reading it
                        path.unlink()

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise GalleryError(f"{self._store.path}: the index cannot be written: {error.strerror}") from error

    def _stamp(self, digest: str) -> tuple[int, ...]:
        """Return what changes when the file is written again."""
        try:
            found = self._path(digest).stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _path(self, digest: str) -> Path:
        return self._store.path.with_name(f"{self._store.path.name}.{digest[:16]}.hnsw")


def misfit(graph: GraphIndex, snapshot: Snapshot, ids: Ids) -> str | None:
    """Return why a graph cannot be one of this gallery, which holds `ids` (N,), ascending; None if nothing says so.

    A sample of its items is compared with the stored embeddings. An id that is yet to be given would one day hide the
    item that gets it.
    """
    if graph.ids[-1] > snapshot.last_id:
        return "it holds an item the gallery never had"
    chosen = random.SystemRandom().sample(range(len(graph)), min(_SAMPLE, len(graph)))  # not to be foreseen
    sample = graph.ids[sorted(chosen)]
    sample = sample[contains(ids, sample)]
    if len(sample) and np.abs(graph.rows(sample) - snapshot.embeddings(sample)).max() > ROUNDING:
        return "its rows differ from the stored embeddings"
    return None
