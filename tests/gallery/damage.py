"""A small gallery with a past, what is in it, and ways to damage its file."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shitu_edge.gallery import Gallery, Origin
from shitu_edge.gallery.store.schema import PAGE_BYTES

from .rows import create, new_items, unit_rows

ITEMS = tuple(range(1, 12))
REVISION = 6
Content = dict[int, tuple[str, str, bytes]]
"""Labels, sources and embeddings by item."""


ORIGINS = {
    2: Origin(None, "whole", "2" * 64, b"\xff\xd8\xff" + bytes(range(256)), (1.0, 2.0, 3.0, 4.0)),
    5: Origin((0.0, 1.0, 20.5, 30.0), "box", "", b"\xff\xd8\xff" + bytes(range(256)) * 3, None),
    7: Origin((0.0, 1.0, 20.5, 30.0), "detected", "7" * 64),
    9: Origin(None, "whole", "9" * 64, b"RIFF\0\0\0\0WEBP" + random.Random(9).randbytes(100_000)),
    12: Origin(None, "whole", "c" * 64, b"\xff\xd8\xff" + bytes(range(256))),
}


def make(path: Path, origins: Mapping[int, Origin] = MappingProxyType({})) -> Path:
    """Make a closed gallery of the items 1 to 11 in revision 6; 12 was removed, and 2 renamed and named back."""
    with create(path) as gallery:
        items = enumerate(new_items(unit_rows(12)), start=1)
        new = [replace(item, origin=origins.get(number)) for number, item in items]
        with gallery.change(author="ann", note="from the shelf") as change:
            for item in new:
                change.add(item)
            if origins:
                change.set("target", b"0.9")
        gallery.rename("label 1", "tea")
        gallery.remove([3])
        gallery.history.rollback(2, author="bob")
        gallery.remove([12])
    return path


def make_with_settings(path: Path) -> Path:
    """Make the same with settings: set in revision 7, and one of them replaced and one removed in 8."""
    with Gallery.open(make(path), background=False) as gallery:
        with gallery.change() as change:
            change.set("target", b"0.9")
            change.set("look_alikes", b"[]")
            change.set("queries/0", bytes(range(256)) * 200)
        with gallery.change(author="bob") as change:
            change.set("target", b"0.95")
            change.set("look_alikes", None)
    return path


def make_with_origins(path: Path) -> Path:
    """Make the same with the origins of `ORIGINS`, and a setting."""
    return make(path, ORIGINS)


def origins(path: Path) -> dict[int, Origin]:
    """Return the origins of a gallery's current items."""
    with Gallery.open(path, background=False) as gallery:
        return gallery.origins([entry.id for entry in gallery.items()])


def content(path: Path) -> Content:
    """Return the current items of a gallery."""
    with Gallery.open(path, background=False) as gallery:
        ids = [entry.id for entry in gallery.items()]
        rows = gallery.embeddings(ids)
        return {
            entry.id: (entry.label, entry.source, row.tobytes())
            for entry, row in zip(gallery.items(), rows, strict=True)
        }


def all_that_counts(path: Path) -> Any:
    """Return what a gallery is for, its items, its log, its past and an answer to a search."""
    with Gallery.open(path, background=False) as gallery:
        past = [gallery.history.diff(revision, gallery.revision) for revision in range(1, gallery.revision + 1)]
        found = gallery.search(unit_rows(2, seed=5), 20)
        made = gallery.settings(), gallery.origins(range(1, 13)), gallery.info().pictures
        facts = (gallery.history.id, gallery.meta, gallery.history.log(), past, found, made)
    return facts, content(path)


@dataclass(frozen=True, slots=True)
class Damage:
    """Statements that damage a gallery, part of what is said of it, and the items whose rows they hit."""

    statements: tuple[str, ...]
    says: str = ""
    hit: frozenset[int] = frozenset()

    def do(self, path: Path) -> None:
        """Damage a closed gallery."""
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            for statement in self.statements:
                connection.execute(statement)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _one(statement: str, says: str = "", hit: int | None = None) -> Damage:
    return Damage((statement,), says, frozenset() if hit is None else frozenset({hit}))


_AGAIN = "INSERT INTO entries SELECT item, {}, source, digest, 6, NULL FROM entries WHERE item = 5"

DAMAGES = {
    "label": _one("UPDATE entries SET label = 'x' WHERE item = 5", "item 5 .*altered", 5),
    "label of bytes": _one("UPDATE entries SET label = CAST(label AS BLOB) WHERE item = 5", "item 5|CHECK", 5),
    "label that is no text": _one("UPDATE entries SET label = CAST(x'ff' AS TEXT) WHERE item = 5", "", 5),
    "source": _one("UPDATE entries SET source = '' WHERE item = 5", "item 5 .*altered", 5),
    "source of bytes": _one("UPDATE entries SET source = x'00' WHERE item = 5", "item 5|CHECK", 5),
    "entry's digest": _one("UPDATE entries SET digest = zeroblob(32) WHERE item = 5", "item 5 .*altered", 5),
    "entry's digest as text": _one("UPDATE entries SET digest = 'a' WHERE item = 5", "item 5|CHECK", 5),
    "embedding of another": _one(
        "UPDATE embeddings SET vector = (SELECT vector FROM embeddings WHERE id = 6) WHERE id = 5", "item 5 .*alter", 5
    ),
    "short embedding": _one("UPDATE embeddings SET vector = x'00' WHERE id = 5", "item 5 .*of 64 bytes, found 1", 5),
    "zero embedding": _one("UPDATE embeddings SET vector = zeroblob(64) WHERE id = 5", "item 5 ", 5),
    "embedding of text": _one("UPDATE embeddings SET vector = 'abc' WHERE id = 5", "item 5|CHECK", 5),
    "embedding that is a number": _one("UPDATE embeddings SET vector = 17 WHERE id = 5", "item 5|CHECK", 5),
    "missing embedding": _one("DELETE FROM embeddings WHERE id = 5", "item 5 .*embedding is missing", 5),
    "missing entry": _one("DELETE FROM entries WHERE item = 5", "item 5: its embedding belongs to no revision", 5),
    "embedding of nothing": _one("INSERT INTO embeddings VALUES (77, zeroblob(64))", "item 77: "),
    "embedding of nothing far off": _one("INSERT INTO embeddings VALUES (1 << 60, zeroblob(64))", ""),
    "embedding of nothing below": _one("INSERT INTO embeddings VALUES (-5, zeroblob(64))", "item -5: "),
    "two entries": Damage(("DROP INDEX entries_by_item", _AGAIN.format("label"))),
    "two entries of two labels": Damage(("DROP INDEX entries_by_item", _AGAIN.format("'x'"))),
    "added later": _one("UPDATE entries SET added_in = 3 WHERE item = 5", "revision 2: "),
    "added in what is to come": _one("UPDATE entries SET added_in = 99 WHERE item = 5", "revision 99|entries"),
    "added in text": _one("UPDATE entries SET added_in = 'abc' WHERE item = 5", "", 5),
    "added in no number": _one("UPDATE entries SET added_in = x'00' WHERE item = 5", "", 5),
    "removed earlier": _one("UPDATE entries SET removed_in = 5 WHERE item = 12", "revision 5: "),
    "removed before": _one("UPDATE entries SET removed_in = 1 WHERE item = 12"),
    "removed in text": _one("UPDATE entries SET removed_in = 'abc' WHERE item = 12"),
    "removed by nobody": _one("UPDATE entries SET removed_in = 6 WHERE item = 5", "revision 6: ", 5),
    "there again": _one("UPDATE entries SET removed_in = NULL WHERE item = 12", "revision 6: ", 12),
    "revision's digest": _one("UPDATE revisions SET digest = zeroblob(32) WHERE id = 3", "revision 3: "),
    "revision's short digest": _one("UPDATE revisions SET digest = x'00' WHERE id = 3", "revision 3: "),
    "revision's digest as text": _one("UPDATE revisions SET digest = 'abc' WHERE id = 3"),
    "last revision's digest": _one("UPDATE revisions SET digest = zeroblob(32) WHERE id = 6", "revision 6: "),
    "last revision's digest as text": _one("UPDATE revisions SET digest = 'abc' WHERE id = 6"),
    "counter": _one("UPDATE revisions SET added = 9 WHERE id = 3", "revision 3: "),
    "counter of text": _one("UPDATE revisions SET removed = 'x' WHERE id = 3"),
    "author": _one("UPDATE revisions SET author = 'eve' WHERE id = 2", "revision 2: "),
    "note": _one("UPDATE revisions SET note = '' WHERE id = 5", "revision 5: "),
    "note that is no text": _one("UPDATE revisions SET note = CAST(x'ff' AS TEXT) WHERE id = 5"),
    "note of bytes": _one("UPDATE revisions SET note = x'ff' WHERE id = 5"),
    "time": _one("UPDATE revisions SET created_at = '2000-01-01T00:00:00+00:00' WHERE id = 5", "revision 5: "),
    "first revision's note": _one("UPDATE revisions SET note = 'x' WHERE id = 1", "revision 1: "),
    "missing revision": _one("DELETE FROM revisions WHERE id = 3", "gaps|revision 3"),
    "missing first revision": _one("DELETE FROM revisions WHERE id = 1"),
    "missing last revision": _one("DELETE FROM revisions WHERE id = 6", "revision 6"),
    "no revisions": _one("DELETE FROM revisions"),
    "revision far off": _one("UPDATE revisions SET id = 1 << 60 WHERE id = 6", "gaps|revision"),
    "revision below": _one("UPDATE revisions SET id = -1 WHERE id = 3"),
    "a revision more": Damage(
        (
            "CREATE TEMP TABLE line AS SELECT * FROM revisions WHERE id = 6",
            "UPDATE line SET id = 7",
            "INSERT INTO revisions SELECT * FROM line",
        )
    ),
    "id": _one("UPDATE meta SET value = 'x' WHERE key = 'id'"),
    "id of bytes": _one("UPDATE meta SET value = x'ff' WHERE key = 'id'"),
    "no id": _one("DELETE FROM meta WHERE key = 'id'", "'id'"),
    "extractor": _one("UPDATE meta SET value = 'x' WHERE key = 'extractor'"),
    "fingerprint": _one("UPDATE meta SET value = 'x' WHERE key = 'fingerprint'"),
    "history back to 3": _one("UPDATE meta SET value = '3' WHERE key = 'history_from'"),
    "history back to 0": _one("UPDATE meta SET value = '0' WHERE key = 'history_from'"),
    "history back to 99": _one("UPDATE meta SET value = '99' WHERE key = 'history_from'"),
    "history back to text": _one("UPDATE meta SET value = 'x' WHERE key = 'history_from'"),
    "history back to bytes": _one("UPDATE meta SET value = x'ff' WHERE key = 'history_from'"),
    "history back to nothing": _one("DELETE FROM meta WHERE key = 'history_from'"),
    "count of ids too low": _one("UPDATE sqlite_sequence SET seq = 1"),
    "count of ids far off": _one("UPDATE sqlite_sequence SET seq = 1 << 60"),
    "count of ids at the end": _one("UPDATE sqlite_sequence SET seq = (1 << 63) - 1"),
    "count of ids of text": _one("UPDATE sqlite_sequence SET seq = 'abc'"),
    "no count of ids": _one("DELETE FROM sqlite_sequence"),
    "no index": _one("DROP INDEX entries_by_removal"),
    "no index of items": _one("DROP INDEX entries_by_item"),
    "no graph table": _one("DROP TABLE graph"),
    "view of a graph": Damage(("DROP TABLE graph", "CREATE VIEW graph AS SELECT 1")),
    "no entries": _one("DROP TABLE embeddings"),
}  # fmt: skip
PAST_IS_WHOLE = (
    *("embedding of nothing far off", "count of ids far off", "count of ids too low", "count of ids of text"),
    *("no count of ids", "no index", "no index of items", "no graph table", "view of a graph"),
)


_TARGET = "WHERE name = 'target' AND replaced_in IS NULL"
SETTING_DAMAGES = {
    "value": _one(f"UPDATE settings SET value = x'00' {_TARGET}", "setting target: .*altered"),
    "value of text": _one(f"UPDATE settings SET value = 'abc' {_TARGET}", "setting target: |CHECK"),
    "large value": _one(f"UPDATE settings SET value = zeroblob(900000) {_TARGET}", "setting target: |CHECK"),
    "digest": _one(f"UPDATE settings SET digest = zeroblob(32) {_TARGET}", "setting target: .*altered"),
    "digest as text": _one(f"UPDATE settings SET digest = 'a' {_TARGET}", "setting target: |CHECK"),
    "another name": _one(f"UPDATE settings SET name = 'other' {_TARGET}", "setting other: .*altered"),
    "odd name": _one(f"UPDATE settings SET name = '\x1b[31m' {_TARGET}", "invalid|CHECK"),
    "name of bytes": _one(f"UPDATE settings SET name = x'ff' {_TARGET}", "invalid|CHECK"),
    "replaced value": _one("UPDATE settings SET value = x'00' WHERE replaced_in = 8", "setting target: .*altered"),
    "missing": _one(f"DELETE FROM settings {_TARGET}", "revision 8: checksum"),
    "missing at first": _one("DELETE FROM settings WHERE name = 'queries/0'", "revision 7: checksum"),
    "set later": _one("UPDATE settings SET set_in = 8 WHERE name = 'queries/0'", "revision 7: checksum"),
    "set in what is to come": _one("UPDATE settings SET set_in = 99 WHERE name = 'queries/0'", "revision 99|settings"),
    "set in text": _one("UPDATE settings SET set_in = 'abc' WHERE name = 'queries/0'"),
    "there again": _one("UPDATE settings SET replaced_in = NULL WHERE name = 'look_alikes'", "revision 8: checksum"),
    "removed by nobody": _one("UPDATE settings SET replaced_in = 8 WHERE name = 'queries/0'", "revision 8: checksum"),
    "replaced in text": _one("UPDATE settings SET replaced_in = 'abc' WHERE name = 'look_alikes'"),
    "replaced too late": _one(
        "UPDATE settings SET replaced_in = 99 WHERE name = 'target' AND set_in = 7", "target: has two values in revis"
    ),
    "two values": Damage(
        (
            "DROP INDEX settings_by_name",
            f"INSERT INTO settings SELECT name, digest, 6, NULL, value FROM settings {_TARGET}",
        ),
        "settings_by_name",
    ),
    "no table": _one("DROP TABLE settings", "the table settings is missing"),
    "no index": _one("DROP INDEX settings_by_end", "the index settings_by_end is missing"),
    "no index of names": _one("DROP INDEX settings_by_name", "the index settings_by_name is missing"),
    "format without settings": _one("PRAGMA user_version = 2", "'settings' does not belong to a gallery"),
}
"""Damages of what `make_with_settings` makes."""


_ORIGIN = "UPDATE origins SET {} WHERE item = 5"
_SIZED = "picture = {0}, picture_bytes = length({0})"
ORIGIN_DAMAGES = {
    "picture": _one(_ORIGIN.format(_SIZED.format("x'FFD8FF00'")), "item 5: its origin: checksum mismatch", 5),
    "picture of no kind": _one(_ORIGIN.format(_SIZED.format("x'00'")), "item 5: its origin: checksum mismatch", 5),
    "no picture": _one(_ORIGIN.format(_SIZED.format("x''")), "item 5: its origin: checksum mismatch", 5),
    "picture of another size": _one(_ORIGIN.format("picture = x'FFD8FF00'"), "item 5: .*size|CHECK", 5),
    "another size": _one(_ORIGIN.format("picture_bytes = 0"), "item 5: .*size|CHECK", 5),
    "size of text": _one(_ORIGIN.format("picture_bytes = 'abc'"), "item 5: .*size|CHECK", 5),
    "picture of text": _one(_ORIGIN.format("picture = 'abc'"), "item 5: |CHECK", 5),
    "picture that is a number": _one(_ORIGIN.format("picture = 7"), "item 5: |CHECK", 5),
    "large picture": _one(_ORIGIN.format(_SIZED.format("zeroblob(300000)")), "item 5: |CHECK", 5),
    "facts": _one(_ORIGIN.format("facts = replace(facts, 'box\"', 'whole\"')"), "item 5: its origin: checksum", 5),
    "facts that are no JSON": _one(_ORIGIN.format("facts = '{'"), "item 5: its origin: checksum", 5),
    "facts of bytes": _one(_ORIGIN.format("facts = CAST(facts AS BLOB)"), "item 5: |CHECK", 5),
    "facts that are no text": _one(_ORIGIN.format("facts = CAST(x'ff' AS TEXT)"), "", 5),
    "long facts": _one(_ORIGIN.format("facts = printf('%.*c', 3000, '[')"), "item 5: |CHECK", 5),
    "digest": _one(_ORIGIN.format("digest = zeroblob(32)"), "item 5: its origin: checksum", 5),
    "digest as text": _one(_ORIGIN.format("digest = 'a'"), "item 5: |CHECK", 5),
    "another's": Damage(
        (
            "DELETE FROM origins WHERE item = 5",
            "INSERT INTO origins SELECT 5, facts, digest, picture_bytes, picture FROM origins WHERE item = 2",
        ),
        "item 5: its origin: checksum",
        frozenset({5}),
    ),
    "of another": _one("UPDATE origins SET item = 6 WHERE item = 5", "item 6: its origin: checksum", 5),
    "missing": _one("DELETE FROM origins WHERE item = 5", "revision 2: checksum", 5),
    "missing of a removed item": _one("DELETE FROM origins WHERE item = 12", "revision 2: checksum"),
    "of nothing": _one(
        "INSERT INTO origins SELECT 77, facts, digest, picture_bytes, picture FROM origins WHERE item = 2",
        "origins: row 77 refers to a row that does not exist",
    ),
    "no table": Damage(("DROP TABLE origins",), "the table origins is missing", frozenset(ORIGINS)),
    "no index": _one("DROP INDEX origins_by_picture_bytes", "the index origins_by_picture_bytes is missing"),
    "format without origins": _one("PRAGMA user_version = 3", "'origins' does not belong to a gallery"),
    "format without settings": _one("PRAGMA user_version = 2", "' does not belong to a gallery"),
}
"""Damages of what `make_with_origins` makes, and the items whose origins they hit."""


def places(path: Path, count: int, seed: int) -> Iterator[tuple[int, int]]:
    """Yield places of a file to flip, and the bits: some in the pages' headers, most in what is used."""
    data, chance = path.read_bytes(), random.Random(seed)
    used = [place for place, value in enumerate(data) if value]
    heads = [page + place for page in range(0, len(data), PAGE_BYTES) for place in range(12)]
    for number in range(count):
        among = heads if number % 10 == 0 else range(100) if number % 10 == 1 else used
        yield chance.choice(among), chance.choice([1 << chance.randrange(8), chance.randrange(1, 256)])


def flip(path: Path, place: int, bits: int) -> None:
    """Alter a byte of a closed file."""
    with path.open("rb+") as stream:
        stream.seek(place)
        [value] = stream.read(1)
        stream.seek(place)
        stream.write(bytes([value ^ bits]))
