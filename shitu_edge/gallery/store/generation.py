"""A generation of a gallery for another extractor: the same items, labels, settings and log, other embeddings."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path

from ...errors import GalleryError
from .changes import Change
from .connection import transaction
from .failures import mapped_errors
from .past import Past
from .records import GalleryItem, Meta
from .snapshot import Snapshot
from .store import Store


def write_generation(
    source: Snapshot, past: Past, target: Path, meta: Meta, vectors: Mapping[int, bytes], dropped: Collection[str]
) -> None:
    """Write a gallery's past with other embeddings to a new file.

    Args:
        source: the gallery, whose origins are copied.
        past: of the gallery.
        target: the new file, which must not exist.
        meta: the other extractor.
        vectors: the embeddings by item, as they are stored; items without one are left out of all revisions.
        dropped: beginnings of the names of settings that are the old extractor's alone.

    Raises:
        GalleryError: the file cannot be written.
    """
    Store.create(target, meta, past.gallery_id).close()
    begun: defaultdict[int, list[GalleryItem]] = defaultdict(list)
    ended: defaultdict[int, list[int]] = defaultdict(list)
    for life in past.lives:
        if life.item.id in vectors:
            begun[life.added_in].append(life.item)
            if life.removed_in is not None:
                ended[life.removed_in].append(life.item.id)
    items = [item for item in sorted(past.items) if item in vectors]
    with (
        mapped_errors(target),
        closing(sqlite3.connect(target, isolation_level=None)) as connection,
        transaction(connection),
    ):
        connection.execute("DELETE FROM revisions")
        connection.executemany("INSERT INTO embeddings VALUES (?, ?)", ((item, vectors[item]) for item in items))
        source.copy_origins(connection, items)
        for line in past.log:
            change = Change(connection, lambda item: item)
            if line.id != change.revision:
                raise GalleryError(f"{target}: the log has no revision {change.revision}; run `gallery verify`")
            change.remove(ended[line.id])
            for item in begun[line.id]:
                change.restore(item)
            for name, value in past.settings.get(line.id, {}).items():
                if not name.startswith(tuple(dropped)):
                    change.set(name, value)
            change.finish(line.author, line.note, line.created_at, even_empty=True)
        connection.execute("UPDATE meta SET value = ? WHERE key = 'history_from'", (str(past.oldest),))
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'embeddings'")
        last = max([source.last_id, *items])
        connection.execute("INSERT INTO sqlite_sequence VALUES ('embeddings', ?)", (last,))
