"""Settings: named values that belong to a gallery, from one revision until another.

Each function also takes files of format 2, which have no table of settings; `store` makes it when it is needed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from ...system.text import one_line
from .records import SettingChange
from .schema import MOST_SETTINGS, MOST_VALUE, SETTING_NAME, SETTINGS, SETTINGS_FORMAT, setting_digest
from .structure import bounded

_IS_CURRENT = "replaced_in IS NULL"
_IS_OF = "set_in <= ? AND (replaced_in IS NULL OR replaced_in > ?)"
_REPLACED_BETWEEN = "SELECT name, digest FROM settings WHERE replaced_in > ? AND replaced_in <= ? AND set_in <= ?"
_SET_BETWEEN = """
SELECT name, digest FROM settings WHERE set_in > ? AND set_in <= ? AND (replaced_in IS NULL OR replaced_in > ?)
"""
_VALUES_SET = "SELECT set_in, name, value, digest FROM settings WHERE set_in > ? AND set_in <= ? ORDER BY set_in, name"
_NAMES_REMOVED = """
SELECT replaced_in, name FROM settings AS old WHERE replaced_in > ? AND replaced_in <= ?
AND NOT EXISTS (SELECT 1 FROM settings WHERE name = old.name AND set_in = old.replaced_in) ORDER BY replaced_in, name
"""
_SHOWN = 60


def has_table(connection: sqlite3.Connection) -> bool:
    """Return whether a file, whose structure was checked, has the table of settings."""
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] >= SETTINGS_FORMAT)


def make_table(connection: sqlite3.Connection) -> None:
    """Make the table of settings, inside a transaction."""
    for statement in SETTINGS:
        connection.execute(statement)


def present(connection: sqlite3.Connection, revision: int | None = None) -> dict[str, bytes]:
    """Return the settings of a known revision, by default the current ones, by name.

    Raises:
        ValueError: one is damaged.
    """
    where, values = (_IS_CURRENT, ()) if revision is None else (_IS_OF, (revision, revision))
    query = f"SELECT name, value, digest FROM settings WHERE {where} ORDER BY name LIMIT {MOST_SETTINGS + 1}"
    found = bounded(connection, query, values, by_id=False) if has_table(connection) else []
    if len(found) > MOST_SETTINGS:
        raise ValueError(f"more than {MOST_SETTINGS} settings")
    for row in found:
        _require_sound(*row)
    return {name: value for name, value, _ in found}


def value(connection: sqlite3.Connection, name: str) -> bytes | None:
    """Return one current setting, None without it; raises `ValueError` if it is damaged."""
    query = f"SELECT name, value, digest FROM settings WHERE name = ? AND {_IS_CURRENT}"
    row = connection.execute(query, (name,)).fetchone() if has_table(connection) else None
    if row is None:
        return None
    _require_sound(*row)
    return bytes(row[1])


def names(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the current settings; raises `ValueError` if one is damaged."""
    query = f"SELECT name FROM settings WHERE {_IS_CURRENT} ORDER BY name"
    return [_sound_name(row[0]) for row in bounded(connection, query, by_id=False)] if has_table(connection) else []


def changed_between(connection: sqlite3.Connection, older: int, newer: int) -> tuple[str, ...]:
    """Return the names of the settings that differ between two revisions; raises `ValueError` if one is damaged."""
    if not has_table(connection):
        return ()
    ended = bounded(connection, _REPLACED_BETWEEN, (older, newer, older), by_id=False)
    begun = bounded(connection, _SET_BETWEEN, (older, newer, newer), by_id=False)
    return tuple(sorted({_sound_name(name) for name, _ in {*ended} ^ {*begun}}))


def changes(connection: sqlite3.Connection, base: int, head: int) -> tuple[SettingChange, ...]:
    """Return what was set and removed after `base` up to `head`; raises `ValueError` if a setting is damaged."""
    if not has_table(connection):
        return ()
    found = []
    for revision, name, value, digest in bounded(connection, _VALUES_SET, (base, head), by_id=False):
        _require_sound(name, value, digest)
        found.append(SettingChange(revision, name, value))
    for revision, name in bounded(connection, _NAMES_REMOVED, (base, head), by_id=False):
        found.append(SettingChange(revision, _sound_name(name), None))
    return tuple(sorted(found, key=lambda change: (change.revision, change.name)))


def store(
    connection: sqlite3.Connection, revision: int, name: str, value: bytes | None
) -> tuple[list[bytes], list[bytes]]:
    """Set or remove a setting in the revision being made; return the digests that ended and that began."""
    query = f"SELECT value, digest FROM settings WHERE name = ? AND {_IS_CURRENT}"
    row = connection.execute(query, (name,)).fetchone() if has_table(connection) else None
    digest = None if value is None else setting_digest(name, value)
    if (value, digest) == (row or (None, None)):
        return [], []
    ended = []
    if row:
        if not isinstance(row[1], bytes):
            raise TypeError(f"expected a digest, found {type(row[1]).__name__}")
        ended.append(row[1])
        connection.execute(f"UPDATE settings SET replaced_in = ? WHERE name = ? AND {_IS_CURRENT}", (revision, name))
    if digest is None:
        return ended, []
    if not has_table(connection):
        make_table(connection)
    connection.execute("INSERT INTO settings VALUES (?, ?, ?, NULL, ?)", (name, digest, revision, value))
    return ended, [digest]


def forget(connection: sqlite3.Connection, horizon: int) -> None:
    """Delete what was replaced up to a revision."""
    if has_table(connection):
        connection.execute("DELETE FROM settings WHERE replaced_in <= ?", (horizon,))


def rows(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """Yield name, value, digest, and the revisions of each stored setting, by name and revision."""
    if has_table(connection):
        query = "SELECT name, value, digest, set_in, replaced_in FROM settings ORDER BY name, set_in"
        yield from connection.execute(query)


def fault(name: object, value: object, digest: object) -> str | None:
    """Return what is wrong with a stored setting, or None."""
    if not isinstance(name, str) or not SETTING_NAME.fullmatch(name):
        return "its name is invalid"
    if not (isinstance(value, bytes) and isinstance(digest, bytes)):
        return "its value or checksum is missing"
    if len(value) > MOST_VALUE:
        return f"expected at most {MOST_VALUE} bytes, found {len(value)}"
    return None if setting_digest(name, value) == digest else "checksum mismatch: it was altered"


def named(name: object) -> str:
    """Return a stored setting's name for messages."""
    return f"setting {one_line(str(name))[:_SHOWN]}"


def _require_sound(name: object, value: object, digest: object) -> None:
    wrong = fault(name, value, digest)
    if wrong:
        raise ValueError(f"{named(name)}: {wrong}")


def _sound_name(name: object) -> str:
    if not isinstance(name, str) or not SETTING_NAME.fullmatch(name):
        raise ValueError("a setting's name is invalid")
    return name
