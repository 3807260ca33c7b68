"""Reading one revision of a gallery file, whatever is committed meanwhile."""

from __future__ import annotations

import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import wraps
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from ...errors import DamagedError, GalleryError
from ..index import Ids, Progress, Rows
from ..labels import spellings
from . import history, origins, replay, settings
from .check import examine
from .failures import odd_content
from .given import text
from .past import Past, read_past
from .records import READ_TOLERANCE, Diff, GalleryItem, Load, Origin, Revision, item_of
from .structure import bounded, bytes_held, columns

_READ_AT_ONCE = 500

# Queries that run after every commit use an index, never a table scan.
_COME_SINCE = """
SELECT item, label FROM entries INDEXED BY entries_by_addition WHERE added_in > ? AND removed_in IS NULL ORDER BY item
"""
_GONE_SINCE = """
SELECT item FROM entries INDEXED BY entries_by_removal WHERE removed_in > ? AND added_in <= ? ORDER BY item
"""
_ALL = "SELECT item, label FROM entries WHERE removed_in IS NULL ORDER BY item"


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _sound(method: _Method) -> _Method:
    """Have a method turn errors caused by values of the wrong type into `DamagedError`."""

    @wraps(method)
    def read(self: Snapshot, *arguments: Any, **options: Any) -> Any:
        with odd_content(self._path):
            return method(self, *arguments, **options)

    return cast(_Method, read)


class Snapshot:
    """One revision of a gallery, from `Store.snapshot`; it ends with that `with` block."""

    def __init__(self, connection: sqlite3.Connection, path: Path, dim: int) -> None:
        self._connection = connection
        self._path = path
        self._dim = dim
        with odd_content(path):
            self.revision = history.current(connection)

    @_sound
    def load(self, since: int = 0) -> Load:
        """Read the changes after revision `since`; the whole content for 0."""
        whole = since < self.reaches_back_to
        gone = array("q", () if whole else (row[0] for row in bounded(self._connection, _GONE_SINCE, (since, since))))
        ids, labels, numbers = array("q"), array("i"), defaultdict[str, int](count().__next__)
        for items, names in columns(self._connection, *((_ALL,) if whole else (_COME_SINCE, (since,)))):
            ids.extend(items)
            labels.extend(map(numbers.__getitem__, names))
        if not all(isinstance(name, str) for name in numbers):
            raise TypeError("a label is not text")
        return Load(self.revision, whole, _ids(gone), _ids(ids), np.array(labels, np.int32), list(numbers))

    @property
    @_sound
    def reaches_back_to(self) -> int:
        """The oldest revision whose content is still known."""
        return history.reaches_back_to(self._connection)

    @property
    @_sound
    def last_id(self) -> int:
        """The highest id ever given to an item; 0 before the first."""
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'embeddings'").fetchone()
        return int(row[0]) if row else 0

    def embeddings(self, ids: Ids) -> Rows:
        """Return the unit rows (N, D) of items, by ascending ids (N,).

        Raises:
            DamagedError: an embedding is damaged.
            GalleryError: an id is unknown.
        """
        room = bytes_held(self._connection) // (4 * self._dim)
        vectors = np.empty((len(ids) if len(ids) <= room else 0, self._dim), np.float32)
        for start in range(0, len(ids), _READ_AT_ONCE):
            some = ids[start : start + _READ_AT_ONCE]
            rows = self._rows(some.tolist())
            if start + len(some) > room:  # more than the file can hold
                raise DamagedError(self._path, "its embeddings need more bytes than the file has")
            if len(vectors):
                vectors[start : start + len(some)] = rows
        return vectors

    @_sound
    def items(self, label: str | None = None) -> list[GalleryItem]:
        """Return the items by id, all or those of a label (as given, then in its normal form)."""
        where = "" if label is None else " AND label = ?"
        query = f"SELECT item, label, source FROM entries WHERE removed_in IS NULL{where} ORDER BY item"
        for values in [()] if label is None else [(spelling,) for spelling in spellings(text(label, "the label"))]:
            if found := [item_of(*row) for row in bounded(self._connection, query, values)]:
                return found
        return []

    @_sound
    def label_counts(self) -> dict[str, int]:
        """Return how many items each label has, by label."""
        query = "SELECT label, count(*) FROM entries WHERE removed_in IS NULL GROUP BY label ORDER BY label"
        return dict(bounded(self._connection, query, by_id=False))

    def count(self) -> int:
        """Return the number of items, 0 if damage prevents counting."""
        with suppress(sqlite3.Error):
            return int(self._connection.execute("SELECT count(*) FROM entries WHERE removed_in IS NULL").fetchone()[0])
        return 0

    @_sound
    def settings(self) -> dict[str, bytes]:
        """Return the settings by name."""
        return settings.present(self._connection)

    @_sound
    def origins(self, ids: Ids) -> dict[int, Origin]:
        """Return the origins of items, by ascending ids (N,); only those that have one.

        Raises:
            DamagedError: one is damaged.
        """
        return origins.of(self._connection, ids.tolist())

    @_sound
    def picture_keys(self, ids: Sequence[int]) -> dict[int, bytes]:
        """Return a checksum of each item's picture and origin, by id; only of those that have a picture."""
        return origins.picture_keys(self._connection, ids)

    @_sound
    def pictures(self) -> int:
        """Return the number of items with a picture; no picture is read."""
        return origins.pictures(self._connection)

    def copy_origins(self, target: sqlite3.Connection, items: Sequence[int]) -> None:
        """Copy the origins of items, with their pictures, to another file, inside a transaction."""
        wanted = set(items)
        found = (row for row in origins.rows(self._connection) if row[0] in wanted)
        first = next(found, None)
        if first is not None:
            origins.make_table(target)
            origins.write(target, chain([first], found))

    @_sound
    def past(self) -> Past:
        """Return all that the gallery knows."""
        return read_past(self._connection)

    @_sound
    def log(self) -> list[Revision]:
        """Return all revisions, the newest first."""
        return history.log(self._connection)

    @_sound
    def diff(self, base: int, head: int) -> Diff:
        """Return what changed from one revision to another, older or newer.

        Raises:
            GalleryError: a revision does not exist or was pruned.
        """
        return history.diff(self._connection, base, head)

    @_sound
    def history_hash(self, revision: int) -> str | None:
        """Return the history hash of a revision, None if the log is shorter."""
        return history.history_hash(self._connection, revision)

    @_sound
    def record(self, base: int, head: int) -> replay.Replay:
        """Return the revisions after `base` up to `head`, to be repeated on a copy of this gallery.

        Raises:
            GalleryError: a revision does not exist or was pruned.
        """
        return replay.record(self._connection, base, head)

    def faults(self, progress: Progress | None = None) -> Iterator[str]:
        """Yield a line per fault of the file."""
        with odd_content(self._path):
            yield from examine(self._connection, self._dim, progress)

    @_sound
    def _rows(self, ids: Sequence[int]) -> Rows:
        query = f"SELECT id, vector FROM embeddings WHERE id IN ({','.join('?' * len(ids))}) ORDER BY id"
        found = self._connection.execute(query, ids).fetchall()
        if [row[0] for row in found] != list(ids):
            missing = min(set(ids) - {row[0] for row in found})
            if self._connection.execute("SELECT 1 FROM entries WHERE item = ?", (missing,)).fetchone():
                raise DamagedError(self._path, f"the embedding of item {missing} is missing")
            raise GalleryError(f"{self._path}: no item has the id {missing}")
        if any(not isinstance(row[1], bytes) or len(row[1]) != 4 * self._dim for row in found):
            raise DamagedError(self._path, f"an embedding does not have {self._dim} numbers")
        vectors = np.frombuffer(b"".join(row[1] for row in found), "<f4").reshape(-1, self._dim)
        if not np.all(np.abs(np.einsum("nd,nd->n", vectors, vectors) - 1) < READ_TOLERANCE):
            raise DamagedError(self._path, "an embedding is not a unit vector")
        return vectors


def _ids(numbers: array[int]) -> Ids:
    return np.array(numbers, np.int64)
