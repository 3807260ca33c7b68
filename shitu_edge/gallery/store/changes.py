"""A change of a gallery: one transaction, one revision."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from typing import cast

import numpy as np

from ...errors import GalleryError
from ...system.text import one_line, printable
from ..labels import normal_label, spellings
from . import history, origins, settings
from .failures import WRONG_TYPE
from .given import instance, item_ids, setting_name, setting_value, text, unicode_text, whole
from .records import GalleryItem, NewGalleryItem, Origin, item_of
from .schema import (
    MOST_ITEMS,
    MOST_REVISIONS,
    MOST_SETTINGS,
    ContentDigest,
    entry_digest,
    first_history_hash,
    next_history_hash,
)
from .structure import bounded

_CURRENT = "SELECT label, source, digest, added_in FROM entries WHERE item = ? AND removed_in IS NULL"
_VECTOR = "SELECT vector FROM embeddings WHERE id = ?"
_INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, NULL)"


@contextmanager
def _reading_rows() -> Iterator[None]:
    """Turn errors caused by values of the wrong type in the file into `GalleryError`."""
    try:
        yield
    except WRONG_TYPE as error:
        raise GalleryError(
            f"the gallery file has unexpected content ({error}); run `shitu-edge gallery verify`"
        ) from error


class Change:
    """A revision being made, by `Store.change` or `Gallery.change`; it ends with their `with` block.

    A call that raises changes nothing.
    """

    def __init__(self, connection: sqlite3.Connection, check: Callable[[NewGalleryItem], NewGalleryItem]) -> None:
        """Begin inside a transaction; `check` returns an item as it may be stored, or raises."""
        row = connection.execute("SELECT id, digest, lineage FROM revisions ORDER BY id DESC LIMIT 1").fetchone()
        row = row or (0, b"", first_history_hash(*history.identity(connection)))
        counter = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'embeddings'").fetchone()
        if not (0 <= row[0] < MOST_REVISIONS and 0 <= (counter or (0,))[0] < MOST_ITEMS):
            raise ValueError(f"newest revision: {row[0]}, counter of items: {counter}")
        self.revision: int = row[0] + 1
        """The resulting revision; after `finish`, the current one if nothing was changed."""
        self._open: sqlite3.Connection | None = connection
        self._check = check
        self._content = ContentDigest(row[1])
        self._history_hash: bytes = row[2]
        self._added = self._removed = 0
        self._room: float | None = None
        """Bytes that pictures may still take, once they were counted."""
        self._settings: dict[str, bytes | None] = {}  # stored at the end, as only the last value counts

    def add(self, item: NewGalleryItem) -> int:
        """Add an item and return its id.

        Raises:
            GalleryError: the label is empty, the embedding is not a unit row of the gallery's dimension, or the origin
                is invalid.
        """
        item = self._check(item)
        vector = np.ascontiguousarray(item.embedding, "<f4").tobytes()
        cursor = self._connection.execute("INSERT INTO embeddings (vector) VALUES (?)", (vector,))
        number = cast(int, cursor.lastrowid)
        if item.origin:
            origins.store(self._connection, number, self._within_limit(item.origin))
        self._enter(number, item.label, item.source, vector)
        return number

    def _within_limit(self, origin: Origin) -> Origin:
        """Return an origin, without its picture if the gallery's pictures would exceed their limit."""
        if self._room is None:
            with _reading_rows():
                self._room = origins.room(self._connection)
        if len(origin.picture) > self._room:
            return replace(origin, picture=b"", product_xyxy=None)
        self._room -= len(origin.picture)
        return origin

    def remove(self, ids: Iterable[int]) -> list[GalleryItem]:
        """Remove items and return them. Raises `GalleryError` if an id is not in the gallery."""
        numbers = self._present(ids)
        return [self._remove(number) for number in numbers]

    def relabel(self, ids: Iterable[int], label: str) -> list[GalleryItem]:
        """Give items another label and return them as they were; those that have it already are skipped.

        Raises:
            GalleryError: an id is not in the gallery, or the label is empty.
        """
        label = normal_label(text(label, "the new name"), "the new name")
        before = []
        there = set(self.find(label=label))
        for number in self._present(ids):
            if number in there:
                continue
            item = self._remove(number, forget=False)
            self.restore(GalleryItem(number, label, item.source))
            before.append(item)
        return before

    def restore(self, item: GalleryItem) -> None:
        """Add a former item again. Raises `GalleryError` if its embedding was pruned, or it is in the gallery."""
        instance(item, GalleryItem)
        number = whole(item.id, "an id as a whole number", 1, MOST_ITEMS - 1)
        label, source = unicode_text(item.label, "a label"), unicode_text(item.source, "a source")
        if self._connection.execute(_CURRENT, (number,)).fetchone():
            raise GalleryError(f"item {item.id} ({item.label}) is already in the gallery")
        row = self._connection.execute(_VECTOR, (number,)).fetchone()
        if row is None:
            raise GalleryError(f"item {item.id} ({item.label}) cannot be restored: it was pruned")
        self._enter(number, label, source, row[0])

    def roll_back(self, revision: int) -> None:
        """Restore the content of a revision. Raises `GalleryError` if the revision does not exist or was pruned."""
        with _reading_rows():
            revision = history.checked(self._connection, revision)
            diff = history.difference(self._connection, self.revision, revision)
            past, names = settings.present(self._connection, revision), settings.names(self._connection)
        for item in diff.removed:
            self._remove(item.id)
        for item in diff.added:
            self.restore(item)
        self._settings = {**dict.fromkeys(names), **past}

    def set(self, name: str, value: bytes | None) -> None:
        """Store a value under a name, or remove it with None. The value that the gallery has already is no change.

        Raises:
            GalleryError: the name has other characters than a-z, 0-9, _ and / or more than 64 of them, the value has
                more than 768 KiB, or there are 64 settings already.
        """
        name, value = setting_name(name), None if value is None else setting_value(value)
        with _reading_rows():
            current = dict.fromkeys(settings.names(self._connection), b"") | self._settings
        others = [other for other, now in current.items() if now is not None and other != name]
        if value is not None and len(others) >= MOST_SETTINGS:
            raise GalleryError(f"expected at most {MOST_SETTINGS} settings; remove one before {name} is added")
        self._settings[name] = value

    def settings(self) -> dict[str, bytes]:
        """Return the settings by name, as this change leaves them."""
        with _reading_rows():
            found = settings.present(self._connection) | self._settings
        return {name: value for name, value in sorted(found.items()) if value is not None}

    def find(self, *, label: str | None = None, source: str | None = None) -> list[int]:
        """Return the ids, ascending, of the items with a label and source; None matches any.

        The label is searched as given, then in its normal form.
        """
        if source is not None:
            source = printable(text(source, "the source"))
        for spelling in (None,) if label is None else spellings(text(label, "the label")):
            given = {column: value for column, value in (("label", spelling), ("source", source)) if value is not None}
            where = " AND ".join(["removed_in IS NULL", *(f"{column} = ?" for column in given)])
            query = f"SELECT item FROM entries WHERE {where} ORDER BY item"
            with _reading_rows():
                found = [row[0] for row in bounded(self._connection, query, [*given.values()])]
            if found:
                return found
        return []

    def finish(self, author: str, note: str, created_at: str | None = None, *, even_empty: bool = False) -> bytes:
        """End the change: log it unless nothing was changed, and return the content's checksum."""
        author, note = text(author, "the author"), text(note, "the note")
        is_changed = self._store_settings() or self._added or self._removed
        digest = bytes(self._content)
        if is_changed or even_empty:
            if created_at is None:
                created_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
            line = (self.revision, one_line(created_at), one_line(author), one_line(note), self._added, self._removed)
            history_hash = next_history_hash(self._history_hash, *line, digest.hex())
            self._connection.execute(
                "INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*line, digest, history_hash)
            )
        else:
            self.revision -= 1
        self._open = None
        return digest

    def _store_settings(self) -> bool:
        """Store the settings that were set; return whether any differs from before."""
        is_changed = False
        for name, value in self._settings.items():
            with _reading_rows():
                ended, begun = settings.store(self._connection, self.revision, name, value)
            for digest in ended:
                self._content.remove(digest)
            for digest in begun:
                self._content.add(digest)
            is_changed |= bool(ended or begun)
        return is_changed

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._open is None or not self._open.in_transaction:  # a full disk ends the transaction
            raise GalleryError("the change has ended; begin a new one")
        return self._open

    def _present(self, ids: Iterable[int]) -> list[int]:
        """Return the distinct ids; all must be in the gallery."""
        numbers = list(dict.fromkeys(item_ids(ids)))
        for number in numbers:
            known = abs(number) < 1 << 63
            if not known or not self._connection.execute(_CURRENT, (number,)).fetchone():
                raise GalleryError(f"no item has the id {number}")
        return numbers

    def _enter(self, number: int, label: str, source: str, vector: bytes) -> None:
        with _reading_rows():
            digest = entry_digest(number, label, source, vector)
            origin = origins.digest_of(self._connection, number)
        self._connection.execute(_INSERT, (number, label, source, digest, self.revision))
        self._content.add(digest)
        if origin:
            self._content.add(origin)
        self._added += 1

    def _remove(self, number: int, *, forget: bool = True) -> GalleryItem:
        """End an item's entry; one begun in this change is deleted.

        Its embedding and origin are deleted with it unless `forget` is false.
        """
        label, source, digest, added_in = self._connection.execute(_CURRENT, (number,)).fetchone()
        with _reading_rows():
            item, is_older = item_of(number, label, source), added_in < self.revision
            if not isinstance(digest, bytes):
                raise TypeError(f"expected a digest, found {type(digest).__name__}")
            origin = origins.digest_of(self._connection, number)
        if is_older:
            query = "UPDATE entries SET removed_in = ? WHERE item = ? AND removed_in IS NULL"
            self._connection.execute(query, (self.revision, number))
            self._removed += 1
        else:
            self._connection.execute("DELETE FROM entries WHERE item = ? AND removed_in IS NULL", (number,))
            self._added -= 1
            if forget:
                query = "DELETE FROM embeddings WHERE id = ? AND NOT EXISTS (SELECT 1 FROM entries WHERE item = id)"
                if self._connection.execute(query, (number,)).rowcount:
                    origins.forget(self._connection, [number])
        self._content.remove(digest)
        if origin:
            self._content.remove(origin)
        return item
