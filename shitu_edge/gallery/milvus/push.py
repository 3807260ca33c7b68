"""Sending a gallery to Milvus, and later its changes.

    1. write new rows under the gallery's revision, which no search asks for yet
    2. mark removed rows with that revision, which searches of earlier ones ignore
    3. undo what an interrupted push has left
    4. wait until every search sees all that, then set the collection's revision

So a push may be interrupted anywhere and repeated. Rows that only earlier revisions need are deleted by the next push.
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
"""Wait between a push's last row and the new revision: twice the lag of a search."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """Numbers of items sent and removed by a push (a renamed item is both), and the collection's new revision."""

    added: int
    removed: int
    revision: int


@dataclass(frozen=True, slots=True)
class _Change:
    """The difference between the collection's revision and the gallery's."""

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
    """Bring a collection, created if missing, to the gallery's revision.

    One machine at a time should push. If two do, the later one continues and the other raises.

    Args:
        gallery: what to push.
        uri: as for `MilvusGallery.open`.
        collection: its name.
        token: as for `MilvusGallery.open`.
        timeout_s: per request.
        settle_s: must exceed the server's `common.gracefulTime`; ignored for Milvus Lite.
        progress: called with the rows done and their total.

    Raises:
        GalleryError: pymilvus is missing, the server does not answer, the collection holds another gallery or a newer
            or different copy, or `gallery add` would refuse a label; FingerprintError: the extractor differs.
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
    """One push's turn at a collection, which ends when another push begins."""

    def __init__(self, target: Collection, state: State, settle_s: float) -> None:
        self._target = target
        self._base = state.revision
        self._settle_s = settle_s
        self._resumed = state.push != IDLE
        self._own = uuid.uuid4().hex
        target.record(push=self._own)
        if self._resumed:
            time.sleep(settle_s)  # for another running push to notice

    def send(self, gallery: Gallery, change: _Change, progress: Progress | None) -> None:
        """Write and mark rows, invisibly to searches."""
        target, head = self._target, change.revision
        total, done = len(change.added) + len(change.removed), 0
        there = self._sent_before(head)
        for start in range(0, len(change.added), AT_ONCE):
            batch = change.added[start : start + AT_ONCE]
            missing = [item for item in batch if item.id not in there]
            if missing:
                self._check()
                target.insert(missing, gallery.embeddings([item.id for item in missing]), head)
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
        """Return the items written by an interrupted push of the same revision."""
        if not self._resumed:
            return set()
        return {row["item"] for rows in self._target.read(f"added_in == {head}", ["item"]) for row in rows}

    def _check(self) -> None:
        if self._target.state().push != self._own:
            raise GalleryError(f"{self._target.place}: another push has begun; push again when it is done")


def _new_state(gallery: Gallery) -> State:
    meta = gallery.meta
    return State(gallery.history.id, meta.extractor, meta.fingerprint, meta.dim, revision=0, digest="none", push=IDLE)


def _check_same(gallery: Gallery, target: Collection, state: State) -> None:
    meta = gallery.meta
    if (state.fingerprint, state.dim) != (meta.fingerprint, meta.dim):
        raise FingerprintError(
            f"{target.place}: holds {state.dim} numbers per item by extractor {state.extractor} "
            f"({state.fingerprint[:8]}), the gallery {meta.dim} by {meta.extractor} ({meta.fingerprint[:8]}); "
            "push to another collection"
        )
    if state.gallery != gallery.history.id:
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
    return {revision.id: revision.digest for revision in gallery.history.log()}


def _change(gallery: Gallery, target: Collection, base: int) -> _Change:
    """Return the difference by the gallery's history or, if that was pruned, by comparing all rows."""
    head = gallery.revision
    if base:
        try:
            difference = gallery.history.diff(base, head)
        except GalleryError:
            pass
        else:
            return _between(head, {(item.id, item.label) for item in difference.removed}, difference.added)
    found = target.read(at(base), ["item", "label"]) if base else ()
    there = {(row["item"], row["label"]) for rows in found for row in rows}
    items = gallery.items()
    while gallery.revision != head:
        head, items = gallery.revision, gallery.items()
    return _between(head, there, items)


def _between(head: int, old: set[tuple[int, str]], new: Sequence[GalleryItem]) -> _Change:
    """Return the difference of two contents."""
    removed = {item_id for item_id, _ in old.difference((item.id, item.label) for item in new)}
    added = [item for item in new if (item.id, item.label) not in old or item.id in removed]
    return _Change(head, sorted(removed), added)


def _check_keys(revision: int, items: Sequence[GalleryItem]) -> None:
    """Check that keys fit, and that `gallery add` would accept the labels."""
    last = max((item.id for item in items), default=0)
    if revision >= 1 << KEY_BITS or last >= 1 << 63 - KEY_BITS:
        raise GalleryError(
            f"revision {revision} or item {last} exceeds what Milvus keys can hold; build the gallery again"
        )
    for item in items:
        fault = label_fault(item.label)
        if fault:
            raise GalleryError(f"item {item.id}: its label {fault}; change it with `gallery relabel`")
