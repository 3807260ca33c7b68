"""Putting a gallery into Milvus, and later only what has changed.

    1. new rows are written under the gallery's revision, which no search asks for yet
    2. rows that are gone are marked as removed in it, which no search of an earlier revision heeds
    3. what a push that was cut short has left is taken back
    4. a wait, until every search sees all that; then the collection's revision is set

So a push may be cut short anywhere and repeated. What an earlier revision needed goes with the push after it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from ...errors import FingerprintError, GalleryError
from ..gallery import Gallery
from ..index import Progress
from ..labels import label_fault
from ..store import GalleryItem
from .collection import AT_ONCE, IDLE, KEY_BITS, NEVER, Collection, State, at

SETTLE_S = 10.0
"""What a push waits between its last row and the new revision: twice what a search may lag behind."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push has sent and taken away, a renamed item being both, and the collection's revision since."""

    added: int
    removed: int
    revision: int


@dataclass(frozen=True, slots=True)
class _Change:
    """What leads from the collection's revision to the gallery's."""

    revision: int
    removed: list[int]
    added: list[GalleryItem]


def push(
    gallery: Gallery,
    uri: str,
    collection: str,
    *,
    token: str = "",
    timeout_s: float = 60.0,
    settle_s: float = SETTLE_S,
    progress: Progress | None = None,
) -> Pushed:
    """Bring a collection to the gallery's revision; it is created where it is missing.

    One machine at a time should push. If two do, the later one goes on and the other one raises.

    Args:
        gallery: what to push.
        uri: as for `MilvusGallery.open`.
        collection: its name.
        token: as for `MilvusGallery.open`.
        timeout_s: how long to wait for any one answer.
        settle_s: more than the server's `common.gracefulTime`; nothing waits in Milvus Lite, where nothing lags.
        progress: called with the rows done and their total.

    Raises:
        GalleryError: pymilvus is missing, nobody answers, the collection is another gallery's, or of a copy that has
            gone another way or further, or a label is one that
            `gallery add` would refuse; FingerprintError: another extractor made it.
    """
    with closing(Collection(uri, collection, token, timeout_s)) as target:
        state = target.state() if target.exists() else _new_state(gallery)
        _check_same(gallery, target, state)
        if state.revision:
            target.load()
        change = _change(gallery, target, state.revision)
        if change.revision == state.revision:
            return Pushed(0, 0, state.revision)
        _check_keys(change.revision, change.added)
        if not state.revision:
            target.create(state)
        turn = _Turn(target, state, 0.0 if target.local else settle_s)
        turn.send(gallery, change, progress)
        turn.complete(change.revision, _digests(gallery)[change.revision])
    return Pushed(len(change.added), len(change.removed), change.revision)


class _Turn:
    """One push's turn at a collection, which ends when another push takes it."""

    def __init__(self, target: Collection, state: State, settle_s: float) -> None:
        self._target = target
        self._base = state.revision
        self._settle_s = settle_s
        self._resumed = state.push != IDLE
        self._own = uuid.uuid4().hex
        target.record(push=self._own)
        if self._resumed:
            time.sleep(settle_s)  # for another push to notice, if there is one

    def send(self, gallery: Gallery, change: _Change, progress: Progress | None) -> None:
        """Write and mark rows; no search sees a difference."""
        target, head = self._target, change.revision
        total, done = len(change.added) + len(change.removed), 0
        there = self._sent_before(head)
        for start in range(0, len(change.added), AT_ONCE):
            batch = change.added[start : start + AT_ONCE]
            missing = [entry for entry in batch if entry.id not in there]
            if missing:
                self._check()
                target.insert(missing, gallery.embeddings([entry.id for entry in missing]), head)
            done += len(batch)
            if progress:
                progress(done, total)
        for start in range(0, len(change.removed), AT_ONCE):
            ids = change.removed[start : start + AT_ONCE]
            self._check()
            target.set_removed(f"item in {ids} and {at(self._base)} and removed_in != {head}", head)
            done += len(ids)
            if progress:
                progress(done, total)

    def complete(self, head: int, digest: str) -> None:
        """Clean up, wait, and set the revision."""
        target, base = self._target, self._base
        if self._resumed:
            target.delete(f"added_in > {base} and added_in != {head}")
            target.set_removed(f"removed_in > {base} and removed_in < {NEVER} and removed_in != {head}", NEVER)
        if target.local:
            target.flush()
        time.sleep(self._settle_s)
        target.delete(f"removed_in <= {base}")
        self._check()
        target.record(revision=head, digest=digest, push=IDLE)

    def _sent_before(self, head: int) -> set[int]:
        """Return the items that a push of the same revision has written before it was cut short."""
        if not self._resumed:
            return set()
        return {row["item"] for rows in self._target.read(f"added_in == {head}", ["item"]) for row in rows}

    def _check(self) -> None:
        if self._target.state().push != self._own:
            raise GalleryError(f"{self._target.place}: another push has begun; push again when it is done")


def _new_state(gallery: Gallery) -> State:
    meta = gallery.meta
    return State(gallery.id, meta.extractor, meta.fingerprint, meta.dim, revision=0, digest="none", push=IDLE)


def _check_same(gallery: Gallery, target: Collection, state: State) -> None:
    meta = gallery.meta
    if (state.fingerprint, state.dim) != (meta.fingerprint, meta.dim):
        raise FingerprintError(
            f"{target.place}: holds {state.dim} numbers per item by extractor {state.extractor} "
            f"({state.fingerprint[:8]}), the gallery {meta.dim} by {meta.extractor} ({meta.fingerprint[:8]}); "
            "push to another collection"
        )
    if state.gallery != gallery.id:
        raise GalleryError(f"{target.place}: holds another gallery; push to a collection of another name")
    if state.revision > gallery.revision:
        raise GalleryError(
            f"{target.place}: is at revision {state.revision}, the gallery only at {gallery.revision}; "
            "push from the newest copy"
        )
    if state.revision and state.digest != _digests(gallery)[state.revision]:
        raise GalleryError(
            f"{target.place}: revision {state.revision} was pushed from another copy; push from that one"
        )


def _digests(gallery: Gallery) -> dict[int, str]:
    return {revision.id: revision.digest for revision in gallery.log()}


def _change(gallery: Gallery, target: Collection, base: int) -> _Change:
    """Ask the gallery's history; where it does not reach back, compare the collection's rows with the gallery's."""
    head = gallery.revision
    if base:
        try:
            difference = gallery.diff(base, head)
        except GalleryError:
            pass
        else:
            return _between(head, {(entry.id, entry.label) for entry in difference.removed}, difference.added)
    found = target.read(at(base), ["item", "label"]) if base else ()
    there = {(row["item"], row["label"]) for rows in found for row in rows}
    entries = gallery.items()
    while gallery.revision != head:
        head, entries = gallery.revision, gallery.items()
    return _between(head, there, entries)


def _between(head: int, old: set[tuple[int, str]], new: Sequence[GalleryItem]) -> _Change:
    """Leave out what is the same on both sides."""
    removed = {item for item, _ in old.difference((entry.id, entry.label) for entry in new)}
    added = [entry for entry in new if (entry.id, entry.label) not in old or entry.id in removed]
    return _Change(head, sorted(removed), added)


def _check_keys(revision: int, entries: Sequence[GalleryItem]) -> None:
    """Check that keys fit in, and that labels are as `gallery add` takes them, which older galleries may not be."""
    last = max((entry.id for entry in entries), default=0)
    if revision >= 1 << KEY_BITS or last >= 1 << 63 - KEY_BITS:
        raise GalleryError(
            f"revision {revision} or item {last} exceeds what Milvus keys can hold; build the gallery again"
        )
    for entry in entries:
        fault = label_fault(entry.label)
        if fault:
            raise GalleryError(f"item {entry.id}: its label {fault}; change it with `gallery relabel`")
