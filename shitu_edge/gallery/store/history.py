"""Past revisions: the log, differences, pruning."""

from __future__ import annotations

import sqlite3

from ...errors import GalleryError
from . import origins, settings
from .given import whole
from .records import Diff, GalleryItem, Revision, item_of, revision_of
from .schema import MOST_REVISIONS
from .structure import bounded

_ENDED_BETWEEN = "SELECT item, label, source FROM entries WHERE removed_in > ? AND removed_in <= ? AND added_in <= ?"
_BEGUN_BETWEEN = """
SELECT item, label, source FROM entries WHERE added_in > ? AND added_in <= ? AND (removed_in IS NULL OR removed_in > ?)
"""


def current(connection: sqlite3.Connection) -> int:
    """Return the newest revision; raises `ValueError` if it is missing or out of range."""
    newest = connection.execute("SELECT max(id) FROM revisions").fetchone()[0]
    if not isinstance(newest, int) or not 0 < newest < MOST_REVISIONS:
        raise ValueError(f"newest revision: {newest}")
    return newest


def reaches_back_to(connection: sqlite3.Connection) -> int:
    """Return the oldest revision whose content is still known."""
    value = connection.execute("SELECT value FROM meta WHERE key = 'history_from'").fetchone()[0]
    return int(value.removesuffix(".0"))  # pruned with keep=2.0, when that was not refused yet


def log(connection: sqlite3.Connection) -> list[Revision]:
    """Return all revisions, the newest first."""
    query = "SELECT id, created_at, author, note, added, removed, digest FROM revisions ORDER BY id"
    lines = [revision_of(line, digest) for *line, digest in bounded(connection, query)]
    return lines[::-1]


def identity(connection: sqlite3.Connection) -> tuple[str, str, str, int]:
    """Return the gallery's id, and the extractor, fingerprint and dimension that it is for."""
    facts = dict(connection.execute("SELECT key, value FROM meta"))
    return facts["id"], facts["extractor"], facts["fingerprint"], int(facts["dim"])


def history_hash(connection: sqlite3.Connection, revision: int) -> str | None:
    """Return the history hash of a revision, None if the log is shorter."""
    revision = whole(revision, "a revision's number")
    if abs(revision) > MOST_REVISIONS:
        return None
    row = connection.execute("SELECT lineage FROM revisions WHERE id = ?", (revision,)).fetchone()
    return row[0].hex() if row else None


def diff(connection: sqlite3.Connection, base: int, head: int) -> Diff:
    """Return what changed from one revision to another, older or newer."""
    return difference(connection, checked(connection, base), checked(connection, head))


def difference(connection: sqlite3.Connection, base: int, head: int) -> Diff:
    """Return what differs between two known revisions, one of which may be in the making."""
    older, newer = sorted((base, head))
    ended = {item_of(*row) for row in bounded(connection, _ENDED_BETWEEN, (older, newer, older), by_id=False)}
    begun = {item_of(*row) for row in bounded(connection, _BEGUN_BETWEEN, (older, newer, newer), by_id=False)}
    removed, added = _by_id(ended - begun), _by_id(begun - ended)
    names = settings.changed_between(connection, older, newer)
    return Diff(removed, added, names) if base <= head else Diff(added, removed, names)


def checked(connection: sqlite3.Connection, revision: int) -> int:
    """Return a revision whose content is known; raises `GalleryError` for others."""
    revision = whole(revision, "a revision's number")
    oldest, newest = reaches_back_to(connection), current(connection)
    if not oldest <= revision <= newest:
        pruned = "; older ones were pruned" if 1 <= revision < oldest else ""
        raise GalleryError(f"expected a revision from {oldest} to {newest}, found {revision}{pruned}")
    return revision


def prune(connection: sqlite3.Connection, keep: int) -> tuple[int, int]:
    """Forget what ended more than `keep` revisions ago; return the numbers of entries and items forgotten."""
    horizon = current(connection) - whole(keep, "0 revisions or more to keep", 0)
    if horizon <= reaches_back_to(connection):
        return 0, 0
    connection.execute("UPDATE meta SET value = ? WHERE key = 'history_from'", (str(horizon),))
    settings.forget(connection, horizon)
    items = {row[0] for row in connection.execute("SELECT item FROM entries WHERE removed_in <= ?", (horizon,))}
    entries = connection.execute("DELETE FROM entries WHERE removed_in <= ?", (horizon,)).rowcount
    query = "DELETE FROM embeddings WHERE id = ? AND NOT EXISTS (SELECT 1 FROM entries WHERE item = id)"
    forgotten = [item for item in sorted(items) if connection.execute(query, (item,)).rowcount]
    origins.forget(connection, forgotten)
    return entries, len(forgotten)


def _by_id(entries: set[GalleryItem]) -> tuple[GalleryItem, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.id))
