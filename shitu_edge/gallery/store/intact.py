"""Settings and origins of a damaged file: rows whose checksum matches."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from typing import Any

from . import origins, settings
from .remains import TABLE_LEAF, Remains, each_row, is_item, read_rows
from .schema import MOST_SETTINGS, setting_digest
from .structure import bytes_held, has_tables

_SET, _REPLACED = (
    "SELECT name, set_in FROM settings INDEXED BY settings_by_start",
    "SELECT name, set_in FROM settings INDEXED BY settings_by_end WHERE replaced_in IS NOT NULL",
)
"""Queries that need no page of the table itself."""
_ORIGINS = "SELECT item, facts, digest, picture_bytes, picture FROM origins"
_SIZES = "SELECT item, picture_bytes FROM origins INDEXED BY origins_by_picture_bytes"
"""Needs no page of the table itself."""
_ITEMS = ("SELECT item FROM origins ORDER BY item", "SELECT item FROM origins ORDER BY item DESC")
"""Need no page of a picture."""


class IntactSettings:
    """Settings of a damaged file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.lost: list[str] = []
        names = dict[str, str]()
        for row in self._read(connection):
            name, digest, _, replaced_in, value = row
            fault = settings.fault(name, value, digest)
            if fault is None:
                self.rows.append(row)
            elif replaced_in is None:
                names.setdefault(settings.named(name), fault)
        current = {settings.named(name) for name in self.current()}
        self.lost = [f"{name}: {fault}" for name, fault in names.items() if name not in current]

    def current(self) -> dict[str, bytes]:
        """Return the current settings by name, as many as a gallery may have; the later of two."""
        found = {name: value for name, _, _, replaced_in, value in self.rows if replaced_in is None}
        return dict([*found.items()][:MOST_SETTINGS])

    def digests(self) -> list[bytes]:
        """Return the digests of the current settings."""
        return [setting_digest(name, value) for name, value in self.current().items()]

    def _read(self, connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
        """Return the table's rows by name and revision, and names that only its indexes have."""
        if not has_tables(connection, "settings"):
            return []
        query = "SELECT name, digest, set_in, replaced_in, value FROM settings ORDER BY name {0}, set_in {0}"
        rows = read_rows(connection, query.format("")) + read_rows(connection, query.format("DESC"))
        rows = sorted(dict.fromkeys(rows), key=lambda row: (str(row[0]), row[2] if isinstance(row[2], int) else 0))
        known = {(row[0], row[2]) for row in rows} | {*read_rows(connection, _REPLACED)}
        return rows + [
            (name, None, None, None, None)
            for name, set_in in read_rows(connection, _SET)
            if (name, set_in) not in known
        ]


class IntactOrigins:
    """Origins of a damaged file. Their pictures are not kept in memory, but read again when they are written."""

    def __init__(self, connection: sqlite3.Connection, remains: Remains | None) -> None:
        self._connection = connection
        self._remains = remains
        self._has_table = has_tables(connection, "origins")
        self._every_page = False
        self._known: dict[int, bool] = {}
        self.digests: dict[int, bytes] = {}
        """Digests of the intact ones by item."""

    def read(self, *, every_page: bool) -> None:
        """Find the intact ones, and those that are known to have been there."""
        self._known, self._every_page = {}, every_page
        self.digests = {row[0]: row[2] for row in self._intact()}
        sizes = read_rows(self._connection, _SIZES) if self._has_table and every_page else []
        self._known.update((item, size != 0) for item, size in sizes if is_item(item))

    def is_there(self) -> bool:
        """Return whether any is intact, in the time until the first is found."""
        return next(self._intact(), None) is not None

    def lost(self, items: Collection[int]) -> list[str]:
        """Return a line for each of these items whose origin is known to be lost."""
        lost = sorted(self._known.keys() & items - self.digests.keys())
        return [f"item {item}: its {'picture' if self._known[item] else 'origin'} is lost" for item in lost]

    def write(self, new: sqlite3.Connection, items: Collection[int]) -> None:
        """Write the intact ones of these items to a new gallery, inside a transaction."""
        wanted = self.digests.keys() & items
        if not wanted:
            return
        origins.make_table(new)
        for row in self._intact():
            if row[0] in wanted:
                origins.write(new, [row])
                wanted.remove(row[0])
            if not wanted:
                return

    def _intact(self) -> Iterator[tuple[Any, ...]]:
        """Yield the intact rows, one per item."""
        seen = set[int]()
        for rows, is_graft in self._sources(seen):
            for row in rows:
                item, facts, _, _, picture = row
                if item in seen or not is_item(item):
                    continue
                if origins.fault(*row) is None:
                    seen.add(item)
                    yield row
                elif not is_graft and (isinstance(facts, str) or isinstance(picture, bytes)):
                    self._known[item] = self._known.get(item, False) or bool(picture)

    def _sources(self, seen: Collection[int]) -> Iterator[tuple[Iterator[tuple[Any, ...]], bool]]:
        """Yield the rows that each way of reading finds, and whether they may be those of another table."""
        if not self._has_table:
            return
        yield each_row(self._connection, f"{_ORIGINS} ORDER BY item"), False
        if self._every_page:
            yield _one_by_one(self._connection, seen, (*_ITEMS, _SIZES)), False
            if self._remains:
                for connection in self._remains.leaves_as_roots(self._connection, "origins", TABLE_LEAF):
                    yield _one_by_one(connection, seen, _ITEMS), True


def _one_by_one(
    connection: sqlite3.Connection, seen: Collection[int], queries: tuple[str, ...]
) -> Iterator[tuple[Any, ...]]:
    """Yield the origins of the items that queries name and that were not seen, each by its own query.

    So the next is read where a page of one's picture is lost. Forged rows may share a picture, so no more bytes are
    read than the file has.
    """
    found = (read_rows(connection, query) for query in queries)
    items = dict.fromkeys(row[0] for rows in found for row in rows if is_item(row[0]))
    room = bytes_held(connection)
    for item in items:
        if item not in seen and room > 0:
            for row in each_row(connection, f"{_ORIGINS} WHERE item = ?", (item,)):
                room -= len(row[4]) if isinstance(row[4], bytes) else 0
                yield row
