"""Origins: how items were made, and their pictures, apart from the rows that opening and searching read.

Each function also takes files of formats 2 and 3, which have no table of origins; `store` makes it when it is needed.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from ...errors import GalleryError
from ...ranges import shown
from ...schema import build
from ...system.files import parse_json
from . import given, settings
from .records import Origin, OriginFacts
from .schema import MOST_FACTS, MOST_PICTURE, ORIGINS, ORIGINS_FORMAT, origin_digest
from .structure import bounded, bytes_held

_COLUMNS = "item, facts, digest, picture_bytes, picture"
_WITH_PICTURE = """
SELECT count(*) FROM origins INDEXED BY origins_by_picture_bytes WHERE picture_bytes > 0
AND EXISTS (SELECT 1 FROM entries INDEXED BY entries_by_item WHERE item = origins.item AND removed_in IS NULL)
"""
_KEPT = "SELECT total(picture_bytes) FROM origins INDEXED BY origins_by_picture_bytes WHERE picture_bytes > 0"
PICTURE_LIMIT = "pictures/most_bytes"
"""Setting: a decimal number; further items keep no picture."""
_AT_ONCE = 50
"""Rows read at once, of up to 128 KiB each."""
_KEYS_AT_ONCE = 500


def has_table(connection: sqlite3.Connection) -> bool:
    """Return whether a file, whose structure was checked, has the table of origins."""
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] >= ORIGINS_FORMAT)


def make_table(connection: sqlite3.Connection) -> None:
    """Make the table of origins, and that of settings if it is missing, inside a transaction."""
    if not settings.has_table(connection):
        settings.make_table(connection)
    for statement in ORIGINS:
        connection.execute(statement)


def store(connection: sqlite3.Connection, item: int, origin: Origin) -> None:
    """Store the checked origin of a new item."""
    if not has_table(connection):
        make_table(connection)
    facts = json.dumps(asdict(OriginFacts.of(origin)), separators=(",", ":"))
    write(connection, [(item, facts, origin_digest(item, facts, origin.picture), len(origin.picture), origin.picture)])


def write(connection: sqlite3.Connection, found: Iterable[tuple[Any, ...]]) -> None:
    """Store rows as `rows` has them."""
    for row in found:
        connection.execute(f"INSERT INTO origins ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", row)


def digest_of(connection: sqlite3.Connection, item: int) -> bytes | None:
    """Return the digest of an item's origin, None without one; raises `TypeError` if it is damaged."""
    row = None
    if has_table(connection):
        row = connection.execute("SELECT digest FROM origins WHERE item = ?", (item,)).fetchone()
    if row and not isinstance(row[0], bytes):
        raise TypeError(f"expected a digest, found {type(row[0]).__name__}")
    return row[0] if row else None


def of(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, Origin]:
    """Return the origins of items, by ascending ids; only those that have one.

    Raises:
        ValueError: one is damaged, or together they have more bytes than the file.
    """
    found: dict[int, Origin] = {}
    room = bytes_held(connection)
    for start in range(0, len(ids) if has_table(connection) else 0, _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        query = f"SELECT {_COLUMNS} FROM origins WHERE item IN ({','.join('?' * len(some))}) ORDER BY item"
        for row in bounded(connection, query, some):
            wrong = fault(*row)
            if wrong:
                raise ValueError(f"item {row[0]}: {wrong}")
            found[row[0]] = _origin(row[1], row[4])
            room -= len(row[4])
        if room < 0:
            raise ValueError("its pictures need more bytes than the file has")
    return found


def picture_keys(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, bytes]:
    """Return the digest of each item's origin, for the items that have a picture, without reading the pictures."""
    found: dict[int, bytes] = {}
    for start in range(0, len(ids) if has_table(connection) else 0, _KEYS_AT_ONCE):
        some = ids[start : start + _KEYS_AT_ONCE]
        query = f"SELECT item, digest FROM origins WHERE picture_bytes > 0 AND item IN ({','.join('?' * len(some))})"
        found.update(bounded(connection, query, some, by_id=False))
    return {item: digest for item, digest in found.items() if isinstance(digest, bytes)}


def pictures(connection: sqlite3.Connection) -> int:
    """Return the number of current items with a picture, from indexes alone."""
    return int(connection.execute(_WITH_PICTURE).fetchone()[0]) if has_table(connection) else 0


def room(connection: sqlite3.Connection) -> float:
    """Return the bytes that may still be added to the kept pictures, past ones included; infinite without a limit.

    Raises:
        ValueError: the limit is damaged.
    """
    limit = settings.value(connection, PICTURE_LIMIT)
    if limit is None:
        return math.inf
    [kept] = connection.execute(_KEPT).fetchone() if has_table(connection) else [0]
    return int(limit) - kept


def picture_bytes(connection: sqlite3.Connection, ids: Iterable[int]) -> int:
    """Return the bytes of the pictures of items, without reading them."""
    if not has_table(connection):
        return 0
    wanted = set(ids)
    query = "SELECT item, picture_bytes FROM origins INDEXED BY origins_by_picture_bytes"
    return sum(size for item, size in bounded(connection, query, by_id=False) if item in wanted)


def forget(connection: sqlite3.Connection, items: Iterable[int]) -> None:
    """Delete the origins of items whose embeddings were deleted."""
    for item in items if has_table(connection) else ():
        connection.execute("DELETE FROM origins WHERE item = ?", (item,))


def rows(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """Yield item, facts, digest, size and picture of each stored origin, by item."""
    if has_table(connection):
        yield from connection.execute(f"SELECT {_COLUMNS} FROM origins ORDER BY item")


def fault(item: object, facts: object, digest: object, size: object, picture: object) -> str | None:
    """Return what is wrong with a stored origin, or None."""
    if not (isinstance(facts, str) and isinstance(digest, bytes) and isinstance(picture, bytes)):
        return "its origin's facts, checksum or picture is missing"
    if len(facts) > MOST_FACTS or len(picture) > MOST_PICTURE or size != len(picture):
        found = f"{len(facts)} characters and {len(picture)} bytes, recorded as {shown(size)}"
        return f"its origin has facts and a picture of another size than expected: {found}"
    if not isinstance(item, int) or origin_digest(item, facts, picture) != digest:
        return "its origin: checksum mismatch: it was altered"
    try:
        _origin(facts, picture)
    except (ValueError, GalleryError) as error:
        return f"its origin is invalid: {error}"
    return None


def _origin(facts: str, picture: bytes) -> Origin:
    return given.origin(build(OriginFacts, parse_json(facts)).with_picture(picture))
