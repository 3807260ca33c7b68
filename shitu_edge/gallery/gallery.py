"""What users call: a gallery of labeled embeddings that can be searched while it changes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from ..errors import DamagedError, GalleryError
from ..results import Match
from .history import GalleryHistory
from .index import Rows
from .indexing import GalleryIndex
from .label_settings import relabeled
from .labels import normal_label
from .live.live import Live
from .store import Change, GalleryItem, Meta, NewGalleryItem, Origin, Store
from .store.given import each, file_path, id_array, instance, text, truth, whole
from .store.origins import PICTURE_LIMIT
from .store.records import ROUNDING, UNIT_TOLERANCE
from .store.rescue import assess


@dataclass(frozen=True, slots=True)
class GalleryInfo:
    """A gallery at a glance.

    `search` is how it is searched now: `exact`, or `graph` with `pending` items beside it and `dead` ones in it.
    `pictures` is how many of the items have a picture.
    """

    path: str
    id: str
    revision: int
    items: int
    labels: int
    pictures: int
    dim: int
    extractor: str
    fingerprint: str
    search: str
    pending: int
    dead: int
    bytes: int


class Gallery:
    """A gallery file, open. A context manager; safe from several threads and beside other processes.

    Every change is a revision: durable, all or none, in the log, and effective at the next search in every process
    that has the gallery open. A search waits for no writer and no index build. A graph that another process has built
    is loaded in the background; searches use what they had until it is there.

    Attributes:
        history: past revisions: log, differences, rollback, pruning, and what patches are made of.
        index: the hnswlib index that large galleries are searched by.
    """

    def __init__(self, store: Store, background: bool = True) -> None:
        self._store = store
        try:
            self._live = Live(store, background)
        except BaseException:
            store.close()
            raise
        self.history = GalleryHistory(store, self._live)
        self.index = GalleryIndex(store, self._live)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, background: bool = True) -> Gallery:
        """Open an existing gallery.

        Args:
            path: its file.
            background: bring the graph up to date, in a process of its own, when changes made here call for it.

        Raises:
            GalleryError: it is missing or no gallery.
            DamagedError: it is not what was written; says how much of it a repair would keep.
        """
        file, background = file_path(path), truth(background, "background")
        try:
            return cls(Store.open(file), background)
        except DamagedError as error:
            raise DamagedError(path, error.fault, assess(file)) from error

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], *, extractor: str, fingerprint: str, dim: int, background: bool = True
    ) -> Gallery:
        """Make an empty gallery for embeddings of `dim` numbers by the extractor of that name and fingerprint.

        It is open then as by `open`.

        Raises:
            GalleryError: the file exists already or cannot be written.
        """
        background = truth(background, "background")
        return cls(Store.create(file_path(path), Meta(extractor, fingerprint, dim)), background)

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, cancel an index being built, and free what is in memory, within two seconds.

        What was committed is on disk already.
        """
        if self._store.home.is_here:  # else all of it belongs to the process that this one was forked off
            self._live.close()

    def __len__(self) -> int:
        return len(self._live.view().roster)

    def __bool__(self) -> bool:
        return True  # also when empty: `if gallery` asks whether there is one

    def __str__(self) -> str:
        return str(self.path)

    @property
    def meta(self) -> Meta:
        """The extractor's name and fingerprint, and the dimension."""
        return self._store.meta

    @property
    def path(self) -> Path:
        """Its file."""
        return self._store.path

    @property
    def revision(self) -> int:
        """How many changes were committed, the creation included."""
        return self._live.view().revision

    # -- searching

    def search(self, queries: Rows, k: int = 5) -> list[tuple[Match, ...]]:
        """Return the `k` nearest items of each query, best first; fewer where the gallery is smaller.

        Args:
            queries: unit rows (Q, D) float32.
            k: how many.

        Raises:
            GalleryError: the queries are no unit rows of the gallery's dimension, or `k` is not positive.
        """
        return self.search_with_revision(queries, k)[1]

    def search_with_revision(
        self, queries: Rows, k: int = 5, workers: Executor | None = None
    ) -> tuple[int, list[tuple[Match, ...]]]:
        """See `GallerySearch.search_with_revision`."""
        queries = unit_queries(queries, self.meta.dim)
        k = whole(k, "k of at least 1", 1)
        if workers is not None:
            instance(workers, Executor)
        view = self._live.view()
        ids, similarities = view.search(queries, k, workers)
        matches = [
            tuple(map(Match, row_ids.tolist(), view.roster.labels(row_ids), row.tolist()))
            for row_ids, row in zip(ids, similarities, strict=True)
        ]
        return view.revision, matches

    # -- changing

    @contextmanager
    def change(self, *, author: str = "", note: str = "") -> Iterator[Change]:
        """Make one revision of several changes: of all that is done inside or, when it raises, of nothing.

        Other writers wait for the end of the block, searches do not.

        Raises:
            GalleryError: another writer does not finish within half a minute, or the file cannot be written.
        """
        with self._store.change(author=author, note=note) as change:
            yield change
        self._live.consider()

    def add(self, items: Iterable[NewGalleryItem], *, author: str = "", note: str = "") -> list[int]:
        """Add items and return their ids. Labels are stripped and brought into Unicode's composed form (NFC).

        Raises:
            GalleryError: a label is empty, or an embedding is not a unit row of the gallery's dimension.
        """
        with self.change(author=author, note=note) as change:
            return [change.add(item) for item in each(items, "items in a list")]

    def remove(
        self,
        ids: Iterable[int] | None = None,
        *,
        label: str | None = None,
        source: str | None = None,
        author: str = "",
        note: str = "",
    ) -> list[GalleryItem]:
        """Remove items by their ids, or all with a label, a source, or both; return what they were.

        Raises:
            GalleryError: there is no such item, or nothing says which.
        """
        if (ids is None) == (label is None and source is None):
            raise GalleryError("expected either ids, or a label or source, to say which items to remove")
        with self.change(author=author, note=note) as change:
            return change.remove(_found(change, label, source) if ids is None else ids)

    def rename(
        self, label: str, new_label: str, *, merge: bool = False, author: str = "", note: str = ""
    ) -> list[GalleryItem]:
        """Give all items of a label another one; return what they were. Look-alikes and labeled queries follow.

        Raises:
            GalleryError: no item has the label, or some have the new one already and `merge` is false.
        """
        merge = truth(merge, "merge")
        with self.change(author=author, note=note) as change:
            ids = _found(change, label)
            taken = change.find(label=normal_label(text(new_label, "the new name"), "the new name"))
            if taken == ids:
                raise GalleryError(f"{label!r} is the label already")
            if taken and not merge:
                held = "1 item has" if len(taken) == 1 else f"{len(taken)} items have"
                raise GalleryError(
                    f"{held} the label {new_label!r} already; merge with --merge (merge=True), or choose another label"
                )
            renamed = change.relabel(ids, new_label)
            for name, value in relabeled(change.settings(), renamed[0].label, normal_label(new_label, "")).items():
                change.set(name, value)
            return renamed

    def replace(self, label: str, items: Iterable[NewGalleryItem], *, author: str = "", note: str = "") -> list[int]:
        """Put other items, whatever label they bear, in the place of all of a label; return their ids.

        Raises:
            GalleryError: no item has the label, or a new one is refused as by `add`.
        """
        with self.change(author=author, note=note) as change:
            change.remove(_found(change, label))
            return [change.add(item) for item in each(items, "items in a list")]

    def limit_pictures(self, most_bytes: int | None, *, author: str = "", note: str = "") -> None:
        """Have further items keep no picture from so many bytes of pictures on, None for no limit. It is a revision.

        Pictures of removed items count until they are pruned; what was kept stays.

        Raises:
            GalleryError: the number is negative, or the file cannot be written.
        """
        limit = None if most_bytes is None else b"%d" % whole(most_bytes, "a number of bytes", 0)
        with self.change(author=author, note=note or "limited the pictures") as change:
            change.set(PICTURE_LIMIT, limit)

    # -- looking into it

    def items(self, label: str | None = None) -> list[GalleryItem]:
        """Return the items by id, all or one label's.

        Raises:
            GalleryError: the label is not text.
        """
        with self._store.snapshot() as snapshot:
            return snapshot.items(label)

    def embeddings(self, ids: Sequence[int]) -> Rows:
        """Return the unit rows (N, D) float32 of items, also of removed ones until they are pruned.

        Raises:
            GalleryError: there is no such item.
        """
        unique, places = np.unique(id_array(ids), return_inverse=True)
        with self._store.snapshot() as snapshot:
            return snapshot.embeddings(unique)[places]

    def origins(self, ids: Sequence[int]) -> dict[int, Origin]:
        """Return how items were made, with their pictures, by id, also of removed items until they are pruned.

        Items that were added without an origin, and ids that are unknown, are left out.

        Raises:
            DamagedError: an origin is not what was stored.
        """
        with self._store.snapshot() as snapshot:
            return snapshot.origins(np.unique(id_array(ids)))

    def picture_keys(self, ids: Sequence[int]) -> dict[int, bytes]:
        """Return what tells the kept pictures of items apart, by id; items without a picture are left out."""
        with self._store.snapshot() as snapshot:
            return snapshot.picture_keys(id_array(ids).tolist())

    def label_counts(self) -> dict[str, int]:
        """Return how many items each label has."""
        with self._store.snapshot() as snapshot:
            return snapshot.label_counts()

    def settings(self) -> dict[str, bytes]:
        """Return the values stored with the gallery, by name; `Change.set` stores them.

        Raises:
            DamagedError: one is not what was stored.
        """
        with self._store.snapshot() as snapshot:
            return snapshot.settings()

    def info(self) -> GalleryInfo:
        """Return the gallery at a glance."""
        view = self._live.view()
        meta = self.meta
        with self._store.snapshot() as snapshot:
            labels, pictures = len(snapshot.label_counts()), snapshot.pictures()
        return GalleryInfo(
            path=str(self.path),
            id=self._store.id,
            revision=view.revision,
            items=len(view.roster),
            labels=labels,
            pictures=pictures,
            dim=meta.dim,
            extractor=meta.extractor,
            fingerprint=meta.fingerprint,
            search="graph" if view.graph else "exact",
            pending=len(view.exact) if view.graph else 0,
            dead=view.dead,
            bytes=self.path.stat().st_size,
        )

    # -- as a file

    def copy(self, target: str | os.PathLike[str]) -> None:
        """Write the gallery as it is now, with its graph, to a new file, for another machine or as a backup.

        Raises:
            GalleryError: the file exists already or cannot be written.
        """
        path = file_path(target).absolute()
        self._store.copy(path)
        copied = Store.open(path)
        try:
            record = copied.index()  # which may be another by now than when the copy began
        finally:
            copied.close()
        if record:
            self._live.graphs.copy(record, path)


def unit_queries(queries: Rows, dim: int) -> Rows:
    """Check that queries are unit rows (Q, dim), and take away what their length is off by.

    Raises:
        GalleryError: they are not.
    """
    if not isinstance(queries, np.ndarray):
        raise GalleryError(f"expected queries as an array of shape (Q, {dim}), found {type(queries).__name__}")
    if queries.dtype.kind not in "fiu":
        raise GalleryError(f"expected queries of numbers, found {queries.dtype}")
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise GalleryError(f"expected queries of shape (Q, {dim}), found {queries.shape}")
    if not np.isfinite(queries).all():
        raise GalleryError("expected queries of finite numbers, found NaN or infinity")
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(queries, axis=1)
    wrong = lengths[np.abs(lengths - 1) > UNIT_TOLERANCE]
    if len(wrong):
        raise GalleryError(f"expected queries of length 1, found one of {wrong[0]:.4g}")
    return queries if (np.abs(lengths - 1) < ROUNDING).all() else queries / lengths[:, None]


def _found(change: Change, label: str | None, source: str | None = None) -> list[int]:
    ids = change.find(label=label, source=source)
    if not ids:
        given = {"labeled": label, "from": source}
        what = " and ".join(f"{word} {text!r}" for word, text in given.items() if text is not None)
        raise GalleryError(f"there is no item {what}")
    return ids
