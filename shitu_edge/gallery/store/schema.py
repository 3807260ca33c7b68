"""The tables of a gallery file.

    meta         id, dimension, extractor, fingerprint, and the oldest revision whose content is known
    revisions    the log: every committed change, numbered from 1
    embeddings   one unit row per item, never changed
    entries      an item's label and source, from one revision until another
    graph        the derived hnswlib index, by its SHA-256
    settings     named values, from one revision until another (format 3)
    origins      how an item was made, and its picture; never changed, kept while its embedding is (format 4)

An item that is removed, renamed or restored keeps its id and embedding: only entries end and begin. So any past
revision can be read, and an index over ids stays valid whatever happens to the labels.

A file has format 2 until its first setting is stored. Then it gets the table of settings and format 3, so that versions
that know no settings open all files without them. With the first origin it gets the table of origins, that of settings
if it lacks it, and format 4.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct

APPLICATION_ID = 0x53544547
"""`STEG` in the SQLite header: shitu-edge gallery."""

FORMAT = 2
SETTINGS_FORMAT = 3
"""Format of a file with the table of settings."""
ORIGINS_FORMAT = 4
"""Format of a file with the tables of settings and origins."""
FORMATS = (FORMAT, SETTINGS_FORMAT, ORIGINS_FORMAT)
MAGIC = b"SQLite format 3\0"

PAGE_BYTES = 16384
"""A page of the default 4 096 bytes holds one embedding of 512 numbers and is half empty; these hold seven."""

LOG_BYTES = 1 << 22
"""Size at which the write-ahead log is merged into the file, and to which it then shrinks."""

MOST_ITEMS = MOST_REVISIONS = 1 << 53
"""Upper limits: a damaged or forged file could otherwise set a counter to its end."""
MOST_DIM = 1 << 16
MOST_TEXT = 1 << 18
"""Bytes of a label, a source, an author or a note, as UTF-8."""
MOST_BYTES = 1 << 20
"""Bytes of a row; no valid row has as many."""
MOST_SETTINGS = 64
MOST_NAME = 64
MOST_VALUE = 768 << 10
"""Bytes of a setting, which is one row."""
MOST_PICTURE = 128 << 10
"""Bytes of an item's picture."""
MOST_FACTS = 512
"""Characters of an origin's facts; the longest valid ones have 340."""
SETTING_NAME = re.compile(f"[a-z0-9_/]{{1,{MOST_NAME}}}")

DIGEST_BYTES = 32
_MODULUS = 1 << 8 * DIGEST_BYTES
_ENTRY = struct.Struct("<qqq")
_SETTING = struct.Struct("<8sqq")
_IS_SETTING = b"setting\xff"
_ORIGIN = struct.Struct("<8sqqq")
_IS_ORIGIN = b"origin\0\xff"
"""In the place of an entry's id, as which they would be negative: so these digests differ from each other's."""

SCHEMA = f"""
PRAGMA page_size = {PAGE_BYTES};
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
BEGIN;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE revisions (
    id INTEGER PRIMARY KEY,
    created_at TEXT NOT NULL,
    author TEXT NOT NULL,
    note TEXT NOT NULL,
    added INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    digest BLOB NOT NULL,
    lineage BLOB NOT NULL,
    CHECK (typeof(added) = 'integer' AND typeof(removed) = 'integer'),
    CHECK (typeof(digest) = 'blob' AND typeof(lineage) = 'blob')
);
CREATE TABLE embeddings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    vector BLOB NOT NULL,
    CHECK (typeof(vector) = 'blob')
);
CREATE TABLE entries (
    item INTEGER NOT NULL REFERENCES embeddings (id),
    label TEXT NOT NULL,
    source TEXT NOT NULL,
    digest BLOB NOT NULL,
    added_in INTEGER NOT NULL REFERENCES revisions (id),
    removed_in INTEGER REFERENCES revisions (id),
    PRIMARY KEY (item, added_in),
    CHECK (typeof(label) = 'text' AND typeof(source) = 'text' AND typeof(digest) = 'blob'),
    CHECK (typeof(item) = 'integer' AND typeof(added_in) = 'integer'),
    CHECK (removed_in IS NULL OR (typeof(removed_in) = 'integer' AND removed_in > added_in))
) WITHOUT ROWID;
CREATE UNIQUE INDEX entries_by_item ON entries (item) WHERE removed_in IS NULL;
CREATE INDEX entries_by_label ON entries (label) WHERE removed_in IS NULL;
CREATE INDEX entries_by_source ON entries (source) WHERE removed_in IS NULL;
CREATE INDEX entries_by_addition ON entries (added_in);
CREATE INDEX entries_by_removal ON entries (removed_in) WHERE removed_in IS NOT NULL;
CREATE TABLE graph (
    sha256 TEXT NOT NULL,
    revision INTEGER NOT NULL,
    count INTEGER NOT NULL,
    m INTEGER NOT NULL,
    ef_construction INTEGER NOT NULL,
    ef INTEGER NOT NULL,
    CHECK (typeof(sha256) = 'text' AND length(sha256) = 64 AND sha256 NOT GLOB '*[^0-9a-f]*'),
    CHECK (typeof(revision) = 'integer' AND typeof(count) = 'integer' AND count > 0),
    CHECK (typeof(m) = 'integer' AND typeof(ef_construction) = 'integer' AND typeof(ef) = 'integer'),
    CHECK (m > 1 AND ef_construction > 0 AND ef > 0)
);
COMMIT;
PRAGMA journal_mode = WAL;
"""

SETTINGS = (
    f"""CREATE TABLE settings (
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    set_in INTEGER NOT NULL REFERENCES revisions (id),
    replaced_in INTEGER REFERENCES revisions (id),
    value BLOB NOT NULL,
    PRIMARY KEY (name, set_in),
    CHECK (typeof(name) = 'text' AND typeof(digest) = 'blob' AND typeof(value) = 'blob'),
    CHECK (length(name) BETWEEN 1 AND {MOST_NAME} AND name NOT GLOB '*[^a-z0-9_/]*' AND length(value) <= {MOST_VALUE}),
    CHECK (typeof(set_in) = 'integer'),
    CHECK (replaced_in IS NULL OR (typeof(replaced_in) = 'integer' AND replaced_in > set_in))
) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX settings_by_name ON settings (name) WHERE replaced_in IS NULL",
    "CREATE INDEX settings_by_start ON settings (set_in)",
    "CREATE INDEX settings_by_end ON settings (replaced_in) WHERE replaced_in IS NOT NULL",
    f"PRAGMA user_version = {SETTINGS_FORMAT}",
)
"""Statements that give a file of format 2 the table of settings; the value is last, so that the rest is read without
its pages."""

ORIGINS = (
    f"""CREATE TABLE origins (
    item INTEGER PRIMARY KEY REFERENCES embeddings (id),
    facts TEXT NOT NULL,
    digest BLOB NOT NULL,
    picture_bytes INTEGER NOT NULL,
    picture BLOB NOT NULL,
    CHECK (typeof(facts) = 'text' AND typeof(digest) = 'blob' AND typeof(picture) = 'blob'),
    CHECK (typeof(picture_bytes) = 'integer' AND picture_bytes = length(picture)),
    CHECK (length(facts) <= {MOST_FACTS} AND picture_bytes <= {MOST_PICTURE})
)""",
    "CREATE INDEX origins_by_picture_bytes ON origins (picture_bytes)",
    f"PRAGMA user_version = {ORIGINS_FORMAT}",
)
"""Statements that give a file of format 3 the table of origins; the index counts pictures without reading them."""


def entry_digest(item: int, label: str, source: str, vector: bytes) -> bytes:
    """Return the SHA-256 of an entry: its item's id, label, source, and embedding as it is stored."""
    label_bytes, source_bytes = label.encode(), source.encode()
    head = _ENTRY.pack(item, len(label_bytes), len(source_bytes))
    return hashlib.sha256(head + label_bytes + source_bytes + vector).digest()


def setting_digest(name: str, value: bytes) -> bytes:
    """Return the SHA-256 of a setting: its name and value."""
    name_bytes = name.encode()
    head = _SETTING.pack(_IS_SETTING, len(name_bytes), len(value))
    return hashlib.sha256(head + name_bytes + value).digest()


def origin_digest(item: int, facts: str, picture: bytes) -> bytes:
    """Return the SHA-256 of an origin: its item's id, facts as they are stored, and picture."""
    facts_bytes = facts.encode()
    head = _ORIGIN.pack(_IS_ORIGIN, item, len(facts_bytes), len(picture))
    return hashlib.sha256(head + facts_bytes + picture).digest()


def first_history_hash(gallery_id: str, extractor: str, fingerprint: str, dim: int) -> bytes:
    """Return the history hash before a gallery's first revision."""
    return _chained(gallery_id, extractor, fingerprint, dim)


def next_history_hash(before: bytes, number: int, created_at: str, author: str, note: str, *rest: object) -> bytes:
    """Return a revision's history hash: SHA-256 over its line of the log and the history hash before it.

    Galleries of equal content can have different histories, in which one id meant different items. `rest` are the
    numbers of items added and removed, and the content's checksum in hexadecimal.
    """
    return _chained(before.hex(), number, created_at, author, note, *rest)


def _chained(*facts: object) -> bytes:
    return hashlib.sha256(json.dumps(facts).encode()).digest()


class ContentDigest:
    """The checksum of a revision's content: the sum of its entries', origins' and settings' SHA-256, in any order.

    Sums modulo 2²⁵⁶ (Bellare and Micciancio 1997, "AdHash") are updated without reading what stays. They protect from
    damage and mix-ups, not from an adversary.
    """

    def __init__(self, digest: bytes = bytes(DIGEST_BYTES)) -> None:
        self._sum = int.from_bytes(digest, "little")

    def add(self, digest: bytes) -> None:
        """Add an entry, an origin or a setting."""
        self._sum = (self._sum + int.from_bytes(digest, "little")) % _MODULUS

    def remove(self, digest: bytes) -> None:
        """Remove an entry, an origin or a setting."""
        self._sum = (self._sum - int.from_bytes(digest, "little")) % _MODULUS

    def __bytes__(self) -> bytes:
        return self._sum.to_bytes(DIGEST_BYTES, "little")
