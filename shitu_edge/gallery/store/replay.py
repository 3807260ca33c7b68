"""Revisions recorded in one file and repeated in another."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import astuple, dataclass, field

import numpy as np

from ...errors import GalleryError
from ...system.text import printable
from ..labels import label_fault
from . import history, origins, settings
from .changes import Change
from .records import GalleryItem, NewGalleryItem, Origin, Revision, SettingChange, item_of
from .schema import MOST_ITEMS, next_history_hash
from .structure import bounded

MOST_PICTURE_BYTES = 1 << 30
"""Of all pictures recorded, which are held in memory."""
_ADDED = "SELECT item, label, source FROM entries WHERE added_in = ? ORDER BY item"
_REMOVED = "SELECT item FROM entries WHERE removed_in = ? ORDER BY item"
_UNKNOWN_AT_BASE = """
SELECT id, vector FROM embeddings WHERE id IN (SELECT item FROM entries WHERE added_in > ? AND added_in <= ?)
AND id NOT IN (SELECT item FROM entries WHERE added_in <= ? AND (removed_in IS NULL OR removed_in > ?)) ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One revision: its line of the log, the ids removed, then the items added."""

    revision: Revision
    removed: tuple[int, ...]
    added: tuple[GalleryItem, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """Steps after the revision `base` of this history hash, with the embeddings it lacks, as stored.

    `settings` are the settings that the steps set and remove, `origins` the origins that come with the embeddings.
    """

    base: int
    history_hash: str
    steps: tuple[Step, ...]
    vectors: dict[int, bytes]
    settings: tuple[SettingChange, ...] = ()
    origins: dict[int, Origin] = field(default_factory=dict)


def record(connection: sqlite3.Connection, base: int, head: int) -> Replay:
    """Return the revisions after `base` up to `head`."""
    base, head = history.checked(connection, base), history.checked(connection, head)
    if not base < head:
        raise GalleryError(f"expected a revision after {base}, found {head}")
    lines = {line.id: line for line in history.log(connection)}
    steps = tuple(
        Step(
            lines[number],
            tuple(row[0] for row in bounded(connection, _REMOVED, (number,))),
            tuple(item_of(*row) for row in bounded(connection, _ADDED, (number,))),
        )
        for number in range(base + 1, head + 1)
    )
    vectors = dict(bounded(connection, _UNKNOWN_AT_BASE, (base, head, base, base)))
    if origins.picture_bytes(connection, vectors) > MOST_PICTURE_BYTES:
        raise GalleryError(
            f"the pictures of revisions {base} to {head} exceed the size of a patch, {MOST_PICTURE_BYTES >> 20} MiB; "
            "copy the gallery instead"
        )
    history_hash, changed = str(history.history_hash(connection, base)), settings.changes(connection, base, head)
    return Replay(base, history_hash, steps, vectors, changed, origins.of(connection, [*vectors]))


def leads_to(recorded: Replay) -> tuple[int, str]:
    """Return the revision and the history hash that the steps end in."""
    history_hash = bytes.fromhex(recorded.history_hash)
    for step in recorded.steps:
        history_hash = next_history_hash(history_hash, *astuple(step.revision))
    return recorded.steps[-1].revision.id, history_hash.hex()


def repeat(connection: sqlite3.Connection, recorded: Replay, check: Callable[[NewGalleryItem], NewGalleryItem]) -> None:
    """Repeat recorded revisions, inside a transaction."""
    newest, base = history.current(connection), recorded.base
    if history.history_hash(connection, newest) != recorded.history_hash:
        if newest < base:
            raise GalleryError(f"it is at revision {newest}, expected {base}; apply the earlier patches first")
        if newest == base:
            raise GalleryError(f"its revision {base} is another than the patch follows; take a new copy of the gallery")
        raise GalleryError(f"it has changed since revision {base}; take a new copy of the gallery")
    _check_labels(connection, recorded)
    _store_items(connection, recorded, check)
    changed = _settings_by_revision(recorded)
    for step in recorded.steps:
        line = step.revision
        change = Change(connection, check)
        if line.id != change.revision:
            raise GalleryError(f"expected revision {change.revision}, found {line.id}")
        change.remove(step.removed)
        for item in step.added:
            if printable(item.source) != item.source:
                raise GalleryError(f"item {item.id}: its source is not Unicode text")
            change.restore(item)
        for name, value in changed.get(line.id, {}).items():
            change.set(name, value)
        if change.finish(line.author, line.note, line.created_at).hex() != line.digest:
            raise GalleryError(f"revision {line.id}: checksum mismatch after it was applied")
    head, history_hash = leads_to(recorded)
    if history.history_hash(connection, head) != history_hash:
        raise GalleryError(f"revision {head}: log checksum mismatch after it was applied")


def _settings_by_revision(recorded: Replay) -> dict[int, dict[str, bytes | None]]:
    """Return the new values by revision and name; each must belong to a step."""
    found: dict[int, dict[str, bytes | None]] = {step.revision.id: {} for step in recorded.steps}
    for change in recorded.settings:
        if change.revision not in found or change.name in found[change.revision]:
            raise GalleryError(f"a setting of revision {change.revision} is there twice or belongs to no step")
        found[change.revision][change.name] = change.value
    return found


def _check_labels(connection: sqlite3.Connection, recorded: Replay) -> None:
    """Check the new labels that remain after all steps.

    Labels already here, as in older galleries, and labels that a later step removes are accepted.
    """
    left: dict[int, str] = {}
    for step in recorded.steps:
        for number in step.removed:
            left.pop(number, None)
        left.update((item.id, item.label) for item in step.added)
    for label, number in {label: number for number, label in left.items()}.items():
        fault = label_fault(label)
        if fault and not connection.execute("SELECT 1 FROM entries WHERE label = ?", (label,)).fetchone():
            raise GalleryError(
                f"item {number}: its label {fault}; relabel it where the patch was made, and patch from revision "
                f"{recorded.base} again"
            )


def _store_items(
    connection: sqlite3.Connection, recorded: Replay, check: Callable[[NewGalleryItem], NewGalleryItem]
) -> None:
    """Store the new embeddings with their origins; each must belong to an item."""
    if not recorded.origins.keys() <= recorded.vectors.keys():
        raise GalleryError("an origin belongs to no new embedding")
    if not recorded.vectors.keys() <= {item.id for step in recorded.steps for item in step.added}:
        raise GalleryError("an embedding belongs to no item")
    for number, vector in recorded.vectors.items():
        if not 0 < number < MOST_ITEMS:
            raise GalleryError(f"item id {number} is out of range")
        name = f"item {number}"  # its label was checked before
        item = check(NewGalleryItem(name, name, np.frombuffer(vector, "<f4"), recorded.origins.get(number)))
        is_new = connection.execute("INSERT OR IGNORE INTO embeddings VALUES (?, ?)", (number, vector)).rowcount
        if is_new and item.origin:
            origins.store(connection, number, item.origin)
        elif not is_new and origins.of(connection, [number]).get(number) != item.origin:
            raise GalleryError(f"item {number}: its origin differs from the one that is here")
