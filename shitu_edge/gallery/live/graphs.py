"""The index file next to a gallery: writing, recording, loading and deleting it."""

from __future__ import annotations

import errno
import glob
import logging
import os
import random
import shutil
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import numpy as np

from ...errors import GalleryError, os_errors_as
from ...system.digest import file_sha256
from ...system.files import open_regular
from ...system.unfinished import replace, unfinished
from ..index import GraphIndex, Ids
from ..store import IndexRecord, Snapshot, Store
from .view import contains

_log = logging.getLogger(__name__)

ROUNDING = 1e-5
"""Tolerance between a number in an index and the stored one: hnswlib normalizes rows again."""
_SAMPLE = 64
_COPY_AT_ONCE = 1 << 20


class GraphFiles:
    """The index files of one gallery. At most one is recorded in it, and that one is never deleted.

    Files are renamed into place and deleted only under the store's write lock, so a process that deletes sees the
    records of others, and no file is in place before it is recorded.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unusable: tuple[str, tuple[int, ...]] | None = None

    def is_news(self, record: IndexRecord, graph: GraphIndex | None) -> bool:
        """Return whether the recorded index is not in use and has not been refused."""
        in_use = graph is not None and graph.digest == record.sha256
        return not in_use and self._unusable != (record.sha256, self._stamp(record.sha256))

    def load(self, record: IndexRecord) -> GraphIndex | None:
        """Return the recorded index; None, with a warning, if its file is damaged."""
        stamp = self._stamp(record.sha256)
        try:
            return self.read(record)
        except GalleryError as error:
            self._unusable = record.sha256, stamp
            _log.warning("index not usable: %s", error)
            return None

    def read(self, record: IndexRecord) -> GraphIndex:
        """Load the recorded index from its file.

        Raises:
            GalleryError: the file is missing, damaged, or not what the record says.
        """
        path = self._path(record.sha256)
        try:
            return GraphIndex.load(path, self._store.meta.dim, record.count, record.parameters, record.sha256)
        except OSError as error:
            raise GalleryError(f"{path}: {error.strerror}") from error

    def refuse(self, graph: GraphIndex, reason: str) -> None:
        """Mark a recorded index as unusable, warn, and delete its record.

        A later item could get an id under which a forged index holds other content.
        """
        assert graph.digest
        self._unusable = graph.digest, self._stamp(graph.digest)
        _log.warning("index not usable: %s: %s", self._path(graph.digest), reason)
        with suppress(GalleryError):
            self._store.forget_index(graph.digest)

    def check_writable(self) -> None:
        """Check that an index can be written and recorded, before the minutes that building takes.

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
        """Write the index of a revision durably and record it. Raises `GalleryError` if it cannot be written."""
        with self._written(), unfinished(self._store.path) as partial:
            graph.save(partial)
            record = IndexRecord(file_sha256(partial), revision, len(graph), graph.parameters)
            try:
                self._store.record_index(record, lambda: replace(partial, self._path(record.sha256)))
            except GalleryError:
                with suppress(GalleryError):
                    self.drop_stale()  # it is in place already but not recorded
                raise
        graph.digest = record.sha256

    def copy(self, record: IndexRecord, gallery: Path) -> None:
        """Copy the recorded index next to a copy of the gallery, which is else searched exactly."""
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
        """Delete index files other than the recorded one."""
        with self._store.locked():
            record = self._store.index()
            current = self._path(record.sha256) if record else None
            for path in self._store.path.parent.glob(f"{glob.escape(self._store.path.name)}.{'[0-9a-f]' * 16}.hnsw"):
                if path != current:
                    with suppress(OSError):  # another process may still be reading it
                        path.unlink()

    def _written(self) -> AbstractContextManager[None]:
        return os_errors_as(GalleryError, self._store.path, "the index cannot be written")

    def _stamp(self, digest: str) -> tuple[int, ...]:
        """Return the file's time, size and inode; empty without a file."""
        try:
            found = self._path(digest).stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _path(self, digest: str) -> Path:
        return self._store.path.with_name(f"{self._store.path.name}.{digest[:16]}.hnsw")


def misfit(graph: GraphIndex, snapshot: Snapshot, ids: Ids) -> str | None:
    """Return why an index cannot belong to this gallery with `ids` (N,), ascending; None if it can.

    A random sample is compared with the stored embeddings. An id not yet given would hide a later item.
    """
    if graph.ids[-1] > snapshot.last_id:
        return "it holds an item the gallery never had"
    chosen = random.SystemRandom().sample(range(len(graph)), min(_SAMPLE, len(graph)))  # unpredictable
    sample = graph.ids[sorted(chosen)]
    sample = sample[contains(ids, sample)]
    if len(sample) and np.abs(graph.rows(sample) - snapshot.embeddings(sample)).max() > ROUNDING:
        return "its rows differ from the stored embeddings"
    return None
