"""Gallery files that were forged: structures that no gallery has, numbers out of range, pages that lead in circles."""

from __future__ import annotations

import json
import random
import sqlite3
import struct
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, NewGalleryItem, Origin
from shitu_edge.gallery.care.repair import repair
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.store.schema import PAGE_BYTES

from .damage import Content, content, origins
from .rows import unit_rows

_ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
_LONG = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 2000000000)"

EXTRAS = {
    "trigger that takes for ever": f"CREATE TRIGGER t AFTER INSERT ON entries BEGIN INSERT INTO meta SELECT 'x', "
    f"count(*) FROM ({_LONG} SELECT x FROM c); END",
    "trigger that deletes": "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries WHERE item = 2; END",
    "trigger that relabels": "CREATE TRIGGER t AFTER INSERT ON revisions BEGIN UPDATE entries SET label = 'x'; END",
    "view": "CREATE VIEW v AS SELECT * FROM entries",
    "view without end": f"CREATE VIEW v AS {_ENDLESS} SELECT x FROM c",
    "table": "CREATE TABLE more (a)",
    "index": "CREATE INDEX more ON entries (digest)",
    "index on an expression": "CREATE INDEX more ON entries (upper(label))",
    "virtual table": "CREATE VIRTUAL TABLE more USING fts5(a)",
    "virtual table of the page cache": "CREATE VIRTUAL TABLE more USING rtree(a, b, c)",
    "generated column": "ALTER TABLE meta ADD COLUMN more GENERATED ALWAYS AS (zeroblob(900000000)) VIRTUAL",
    "column": "ALTER TABLE graph ADD COLUMN more",
    "statistics": "ANALYZE",
    "odd name": 'CREATE TABLE "\x1b[31m\n\u202e" (a)',
}
"""Statements that add what no gallery has, and leave all rows."""


def _replaced(table: str, by: str) -> tuple[str, ...]:
    return f"DROP TABLE {table}", by


REPLACED = {
    "meta without end": _replaced("meta", f"CREATE VIEW meta AS {_ENDLESS} SELECT x AS key, 'y' AS value FROM c"),
    "meta that is slow": _replaced("meta", f"CREATE VIEW meta AS {_LONG} SELECT 'dim' AS key, max(x) AS value FROM c"),
    "entries without end": _replaced(
        "entries",
        f"CREATE VIEW entries AS {_ENDLESS} SELECT x AS item, 'l' AS label, '' AS source, x'00' AS digest, "
        "1 AS added_in, NULL AS removed_in FROM c",
    ),
    "labels beyond memory": _replaced(
        "entries",
        "CREATE VIEW entries AS SELECT id AS item, printf('%.*c', 900000000, 'x') AS label, '' AS source, "
        "zeroblob(32) AS digest, 1 AS added_in, NULL AS removed_in FROM embeddings",
    ),
    "embeddings beyond memory": _replaced(
        "embeddings", "CREATE VIEW embeddings AS SELECT item AS id, zeroblob(900000000) AS vector FROM entries"
    ),
    "generated embeddings": (
        "DROP TABLE embeddings",
        "CREATE TABLE embeddings (id INTEGER PRIMARY KEY, vector BLOB AS (zeroblob(900000000)))",
        "INSERT OR IGNORE INTO embeddings (id) SELECT item FROM entries",
    ),
    "revisions without end": _replaced(
        "revisions",
        f"CREATE VIEW revisions AS {_ENDLESS} SELECT x AS id, '' AS created_at, '' AS author, '' AS note, 0 AS added, "
        "0 AS removed, zeroblob(32) AS digest, zeroblob(32) AS lineage FROM c",
    ),
    "graph without end": _replaced(
        "graph",
        f"CREATE VIEW graph AS {_ENDLESS} SELECT 'a' AS sha256, 1 AS revision, 1 AS count, 2 AS m, 1 AS "
        "ef_construction, 1 AS ef FROM c WHERE x < 0",
    ),
    "sequence without end": (
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_master SET type = 'view', rootpage = 0, sql = 'CREATE VIEW sqlite_sequence AS {_ENDLESS} "
        "SELECT x AS name, x AS seq FROM c' WHERE name = 'sqlite_sequence'",
    ),
    "checks with functions": (
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'CHECK (m > 1', 'CHECK (randomblob(900000000) > 0 AND m > 1')",
    ),
    "defaults with functions": (
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'note TEXT NOT NULL', 'note TEXT DEFAULT (zeroblob(900000000))')",
    ),
    "a table twice": (
        "PRAGMA writable_schema = ON",
        "INSERT INTO sqlite_master SELECT * FROM sqlite_master WHERE name = 'graph'",
    ),
    "tables on one page": (
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'revisions') "
        "WHERE name = 'embeddings'",
    ),
}
"""Statements that put something else in the place of a table."""

NUMBERS = {
    "dimension of 2e9": "UPDATE meta SET value = '2000000000' WHERE key = 'dim'",
    "dimension of 1e12": "UPDATE meta SET value = '1000000000000' WHERE key = 'dim'",
    "dimension of 65536": "UPDATE meta SET value = '65536' WHERE key = 'dim'",
    "dimension of many digits": "UPDATE meta SET value = printf('%.*c', 900000, '9') WHERE key = 'dim'",
    "revision of 2^63": "UPDATE revisions SET id = 9223372036854775807 WHERE id = 6",
    "revision of 2^62": "UPDATE revisions SET id = 1 << 62 WHERE id = 6",
    "item of 2^63": "UPDATE entries SET item = 9223372036854775807 WHERE item = 11",
    "item below": "UPDATE entries SET item = -5 WHERE item = 11",
    "item of nothing": "UPDATE entries SET item = 0 WHERE item = 1",
    "history of 2^63": "UPDATE meta SET value = '9223372036854775807' WHERE key = 'history_from'",
    "counter of ids": "UPDATE sqlite_sequence SET seq = 9223372036854775807",
    "large label": "UPDATE entries SET label = printf('%.*c', 3000000, 'x') WHERE item = 5",
    "large source": "UPDATE entries SET source = printf('%.*c', 3000000, 'x') WHERE item = 5",
    "large embedding": "UPDATE embeddings SET vector = zeroblob(3000000) WHERE id = 5",
    "large id": "UPDATE meta SET value = printf('%.*c', 3000000, 'x') WHERE key = 'id'",
    "graph of 2^62": f"INSERT INTO graph VALUES ('{'a' * 64}', 1 << 62, 1 << 62, 1 << 62, 1 << 62, 1 << 62)",
}


SETTINGS = {
    "value beyond a row": "UPDATE settings SET value = zeroblob(3000000)",
    "name beyond a row": "UPDATE settings SET name = printf('%.*c', 3000000, 'x') WHERE name = 'queries/0'",
    "name with controls": "UPDATE settings SET name = char(27, 91, 51, 49, 109, 10, 0x202e) WHERE name = 'queries/0'",
    "numbers for all": "UPDATE OR IGNORE settings SET name = 7, digest = 7, value = 7",
    "revision of 2^62": "UPDATE OR IGNORE settings SET set_in = 1 << 62",
    "ended in 2^63": "UPDATE settings SET replaced_in = (1 << 63) - 1",
    "65 settings": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 65) INSERT INTO settings "
    "SELECT 'queries/' || (x + 1), digest, set_in, NULL, value FROM c, settings WHERE name = 'queries/0'",
}
"""Statements that forge settings."""

_SHARED = "INSERT OR REPLACE INTO origins SELECT x + {}, facts, digest, picture_bytes, picture FROM c, origins"
ORIGINS = {
    "picture beyond a row": "UPDATE origins SET picture = zeroblob(3000000), picture_bytes = 3000000 WHERE item = 5",
    "facts beyond a row": "UPDATE origins SET facts = printf('%.*c', 3000000, '[') WHERE item = 5",
    "facts with controls": "UPDATE origins SET facts = char(27, 91, 51, 49, 109, 10, 0x202e) WHERE item = 5",
    "nested facts": "UPDATE origins SET facts = printf('%.*c', 500, '[') WHERE item = 5",
    "size of 2^62": "UPDATE origins SET picture_bytes = 1 << 62",
    "negative sizes": "UPDATE origins SET picture_bytes = -1",
    "numbers for all": "UPDATE origins SET facts = 7, digest = 7, picture_bytes = 7, picture = 7",
    "item of 2^63": "UPDATE origins SET item = 9223372036854775807 WHERE item = 9",
    "item below": "UPDATE origins SET item = -5 WHERE item = 9",
    "a thousand of nothing": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1000) "
    f"{_SHARED.format(100)} WHERE item = 5",
    "the same for all": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 12) "
    f"{_SHARED.format(0)} WHERE item = 9",
}
"""Statements that forge origins."""


def forge(path: Path, *statements: str) -> None:
    """Alter a closed gallery as only a forger does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.set_progress_handler(lambda: True, 5_000_000)  # what was forged before may be without end
        for statement in statements:
            connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def lead_round(path: Path, table: str, depth: int = 5, width: int = 90) -> None:
    """Have the pages of a table or index lead to its rows over and over: `width` to the power of `depth` times."""
    data = bytearray(path.read_bytes())
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        [root] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    start = (root - 1) * PAGE_BYTES
    leaf = data[start : start + PAGE_BYTES]
    is_index, below = leaf[0] == 0x0A, _appended(data, leaf)
    [cell] = struct.unpack_from(">H", leaf, 8)
    key = leaf[cell : cell + 1 + leaf[cell]] if is_index else b"\x01"
    for level in range(depth):
        page = bytearray(PAGE_BYTES)
        cell = struct.pack(">I", below) + key
        for number in range(width):
            place = PAGE_BYTES - (number + 1) * len(cell)
            page[place : place + len(cell)] = cell
            struct.pack_into(">H", page, 12 + 2 * number, place)
        struct.pack_into(">BHHHBI", page, 0, 0x02 if is_index else 0x05, 0, width, place, 0, below)
        if level == depth - 1:
            data[start : start + PAGE_BYTES] = page
        else:
            below = _appended(data, page)
    struct.pack_into(">I", data, 28, len(data) // PAGE_BYTES)
    data[92:96] = data[24:28]
    path.write_bytes(data)


def _appended(data: bytearray, page: bytearray) -> int:
    data += page
    return len(data) // PAGE_BYTES


# -- in a process that is watched


def answer() -> None:
    """For each gallery named by a line: try all that may be done with it, and print what came of it as a line."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, hard))
    for line in sys.stdin:
        said, path = dict[str, Any](seconds=0.0), Path(json.loads(line))
        for name, action in ACTIONS.items():
            started = time.process_time()
            try:
                said[name] = action(path)
            except GalleryError as error:
                said[name] = str(error)
            said["seconds"] = max(said["seconds"], time.process_time() - started)
        said["mebibytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(json.dumps(said, default=repr), flush=True)


def _opened(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        gallery.search(unit_rows(2), 20)
        gallery.info(), gallery.items(), gallery.history.log(), gallery.label_counts()


def _read(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        gallery.history.diff(1, gallery.revision)
        gallery.history.record(max(1, gallery.revision - 2), gallery.revision)
        gallery.settings()
        gallery.origins(range(1, 100))


def _changed(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery, gallery.change() as change:
        change.find(label="label 5")
        change.find(source="5.jpg")
        change.add(NewGalleryItem("tea", "", unit_rows(1, seed=3)[0], Origin(None, "whole", "")))
        change.remove([4])
        change.set("queries/1", b"1")
        change.settings()
        change.roll_back(change.revision - 1)
        raise GalleryError("that will do")


def _verified(path: Path) -> list[str]:
    return list(verify(path).faults)


def _repaired(path: Path) -> list[Any]:
    done = repair(path)
    left = [f"after its repair: {fault}" for fault in verify(path).faults]
    return [left, done.rescue.kept, _plain(content(path)), _settings(path), _origins(path)]


def _settings(path: Path) -> list[list[str]]:
    with Gallery.open(path, background=False) as gallery:
        return [[name, value.hex()] for name, value in gallery.settings().items()]


def _origins(path: Path) -> list[list[Any]]:
    """An item's id, the facts of its origin as text, and its picture."""
    return [
        [item, repr(replace(made, picture=b"")), made.picture.hex()] for item, made in sorted(origins(path).items())
    ]


def _plain(found: Content) -> list[list[Any]]:
    return [[item, label, source, vector.hex()] for item, (label, source, vector) in found.items()]


ACTIONS: dict[str, Any] = {
    "open": _opened,
    "read": _read,
    "change": _changed,
    "verify": _verified,
    "content": lambda path: _plain(content(path)),
    "settings": _settings,
    "origins": _origins,
    "repair": _repaired,
}


def mutate(path: Path, chance: random.Random) -> None:
    """Forge a gallery at random: structure, numbers, pages, bytes, some of each."""
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        kind = chance.choice(["extra", "replaced", "number", "round", "schema", "value", "bytes", "pages"])
        try:
            if kind == "extra":
                forge(path, chance.choice(list(EXTRAS.values())))
            elif kind == "replaced":
                forge(path, *chance.choice(list(REPLACED.values())))
            elif kind == "number":
                forge(path, chance.choice(list(NUMBERS.values())))
            elif kind == "round":
                lead_round(path, chance.choice(_ALL_TREES), chance.randint(1, 9), chance.choice([1, 2, 20, 90]))
            elif kind == "schema":
                forge(path, "PRAGMA writable_schema = ON", _altered_schema(chance))
            elif kind == "value":
                forge(path, _altered_value(chance))
            else:
                _alter_bytes(path, chance, whole_pages=kind == "pages")
        except (sqlite3.Error, ValueError, struct.error, IndexError, TypeError):
            continue  # what was forged before stands in the way


_TREES = (
    *("meta", "revisions", "embeddings", "entries", "graph", "sqlite_sequence", "entries_by_item"),
    *("entries_by_label", "entries_by_source", "entries_by_addition", "entries_by_removal"),
)
SETTINGS_TREES = ("settings", "settings_by_name", "settings_by_start", "settings_by_end")
ORIGINS_TREES = ("origins", "origins_by_picture_bytes")
_ALL_TREES = _TREES + SETTINGS_TREES + ORIGINS_TREES
_COLUMNS = {
    "meta": ("key", "value"),
    "revisions": ("id", "created_at", "author", "note", "added", "removed", "digest", "lineage"),
    "embeddings": ("id", "vector"),
    "entries": ("item", "label", "source", "digest", "added_in", "removed_in"),
    "sqlite_sequence": ("name", "seq"),
    "settings": ("name", "digest", "set_in", "replaced_in", "value"),
    "origins": ("item", "facts", "digest", "picture_bytes", "picture"),
}
_VALUES = (
    *("NULL", "0", "-1", "1", "7", "1.5", "9e999", "'x'", "x'00'", "''", "9223372036854775807", "-9223372036854775808"),
    *(
        "1 << 53",
        "1 << 31",
        "zeroblob(64)",
        "zeroblob(2000000)",
        "printf('%.*c', 200000, 'y')",
        "CAST(x'ff00' AS TEXT)",
    ),
    *("'2000000000'", "'1e400'", "x'07'", "char(27, 10, 0)"),
)


def _altered_schema(chance: random.Random) -> str:
    name = chance.choice(_ALL_TREES)
    change = chance.choice(
        [
            "sql = replace(sql, 'TEXT', 'BLOB')",
            "sql = replace(sql, ' NOT NULL', '')",
            "sql = sql || ' '",
            "sql = replace(sql, 'CHECK', 'check')",
            "sql = 'garbage'",
            "sql = NULL",
            "type = 'view'",
            "type = 'trigger'",
            "name = 'other'",
            "tbl_name = 'other'",
            f"rootpage = {chance.choice([0, 1, 2, 3, 5, 9, 99, -1, 1 << 31])}",
        ]
    )
    return f"UPDATE sqlite_master SET {change} WHERE name = '{name}'"


def _altered_value(chance: random.Random) -> str:
    table = chance.choice(list(_COLUMNS))
    column, value = chance.choice(_COLUMNS[table]), chance.choice(_VALUES)
    some = chance.choice(["", f" WHERE (unicode({_COLUMNS[table][0]}) + {chance.randrange(3)}) % 3 = 0"])
    return f"UPDATE OR IGNORE {table} SET {column} = {value}{some}"


def _alter_bytes(path: Path, chance: random.Random, *, whole_pages: bool) -> None:
    data = bytearray(path.read_bytes())
    pages = len(data) // PAGE_BYTES
    for _ in range(chance.choice([1, 3, 20])):
        page = chance.randrange(pages) * PAGE_BYTES
        if whole_pages:
            other = chance.randrange(pages) * PAGE_BYTES
            data[page : page + PAGE_BYTES] = data[other : other + PAGE_BYTES]
        else:
            place = page + chance.choice([chance.randrange(100), chance.randrange(PAGE_BYTES)])
            data[place] = chance.randrange(256)
    path.write_bytes(data)
