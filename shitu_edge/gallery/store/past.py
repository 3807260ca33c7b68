"""All that a gallery knows: its log, and what was in it when."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from . import history, settings
from .records import GalleryItem, Revision, item_of
from .structure import bounded

_KNOWN = "SELECT item, label, source, added_in, removed_in FROM entries WHERE removed_in IS NULL OR removed_in > ?"


@dataclass(frozen=True, slots=True)
class Life:
    """An item under one label: from one revision until another, None for until now."""

    item: GalleryItem
    added_in: int
    removed_in: int | None


@dataclass(frozen=True, slots=True)
class Past:
    """All that a gallery knows: its id, log (oldest first), the oldest known revision, and what was in it when.

    `settings` are the values by name, of each revision in which any changed, None for a removed one.
    """

    gallery_id: str
    log: tuple[Revision, ...]
    oldest: int
    lives: tuple[Life, ...]
    settings: Mapping[int, Mapping[str, bytes | None]]

    @property
    def items(self) -> dict[int, GalleryItem]:
        """Each item by id, under its last label."""
        return {life.item.id: life.item for life in sorted(self.lives, key=lambda life: life.added_in)}


def read_past(connection: sqlite3.Connection) -> Past:
    """Return what a gallery knows."""
    gallery_id, *_ = history.identity(connection)
    oldest, newest = history.reaches_back_to(connection), history.current(connection)
    lives = tuple(
        Life(item_of(item, label, source), max(added_in, oldest), removed_in)
        for item, label, source, added_in, removed_in in bounded(connection, _KNOWN, (oldest,), by_id=False)
    )
    changed: defaultdict[int, dict[str, bytes | None]] = defaultdict(dict)
    changed[oldest].update(settings.present(connection, oldest))
    for change in settings.changes(connection, oldest, newest):
        changed[change.revision][change.name] = change.value
    return Past(gallery_id, tuple(history.log(connection)[::-1]), oldest, lives, changed)
