"""A gallery's past: its log, what changed between revisions, going back, forgetting, and repeating on a copy."""

from __future__ import annotations

from .live.live import Live
from .store import Diff, Replay, Revision, Store
from .store.given import text, whole


class GalleryHistory:
    """The revisions of an open gallery, as `gallery.history`. Safe from several threads."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live

    @property
    def id(self) -> str:
        """Id that a gallery shares with its copies, and with no other gallery."""
        return self._store.id

    def log(self) -> list[Revision]:
        """Return all revisions, the newest first."""
        with self._store.snapshot() as snapshot:
            return snapshot.log()

    def diff(self, base: int, head: int) -> Diff:
        """Return what changed from one revision to another, older or newer: items and settings.

        Raises:
            GalleryError: there is no such revision, or its content was pruned.
        """
        with self._store.snapshot() as snapshot:
            return snapshot.diff(base, head)

    def rollback(self, revision: int, *, author: str = "", note: str = "") -> int:
        """Restore the content of a revision as a new revision; return the number of the revision that results.

        Items come back under their ids. If nothing differs, nothing is committed.

        Raises:
            GalleryError: there is no such revision, or its content was pruned.
        """
        revision = whole(revision, "a revision's number")
        note = text(note, "the note") or f"rolled back to revision {revision}"
        with self._store.change(author=author, note=note) as change:
            change.roll_back(revision)
        self._live.consider()
        return change.revision

    def prune(self, keep: int) -> tuple[int, int]:
        """Forget what was removed or replaced more than `keep` revisions ago and free its space.

        Revisions before the last `keep` stay in the log, but cannot be restored.

        Returns:
            How many rows were forgotten, and how many items of which nothing is left.

        Raises:
            GalleryError: `keep` is negative.
        """
        forgotten = self._store.prune(keep)
        self._store.compact_log(wait=False)
        return forgotten

    def compact(self) -> None:
        """Fold the write-ahead log into the file, so that the one file is the gallery when it is closed.

        To copy an open gallery, use `Gallery.copy`: reading its file in a process that has it open drops SQLite's
        locks.

        Raises:
            GalleryError: others are reading or writing, or build an index, and do not stop.
        """
        self._store.compact_log()

    def hash(self, revision: int) -> str | None:
        """Return the history hash of a revision, which covers the log up to it; None if the log is shorter."""
        with self._store.snapshot() as snapshot:
            return snapshot.history_hash(revision)

    def record(self, base: int, head: int) -> Replay:
        """Return the revisions after `base` up to `head`, to be repeated on a copy of this gallery.

        Raises:
            GalleryError: there are no such revisions, or their content was pruned.
        """
        with self._store.snapshot() as snapshot:
            return snapshot.record(base, head)

    def repeat(self, recorded: Replay) -> None:
        """Repeat the revisions of a copy of this gallery, all or none.

        Raises:
            MisfitError: this gallery is not at the revision that they follow, or they lead elsewhere than recorded.
        """
        self._store.repeat(recorded)
        self._live.consider()
