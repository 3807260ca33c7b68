"""Scores of a gallery: from the cache, if it has those of this content, or derived from the items."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bundle.cohort import MOST_PRODUCTS
from ..errors import GalleryError
from ..gallery import GalleryItem
from ..gallery.layers import Layers, LayerState
from .cache import read_samples, write_samples
from .gallery_samples import gallery_samples
from .leave_out import MOST_QUERIES, Rows
from .looks import MOST_LOOKED, Photos, look_samples
from .samples import Samples
from .score import NEIGHBORS
from .stored import Queries
from .support import MOST_PHOTOS

AT_ONCE = 1000
"""Items up to which a gallery is calibrated in a tenth of a second, so that nobody has to wait for a thread."""
CHANGED = 0.1
"""Share of the items whose change makes scores stale."""
_METHOD = f"score 5, {NEIGHBORS} neighbors, {MOST_QUERIES} queries"
"""Whatever changes the scores of the same gallery changes this, so that none are taken from the cache."""
_LOOK_METHOD = f"look 3, {NEIGHBORS} neighbors, {MOST_PHOTOS} photos, {MOST_LOOKED} queries"
_MOST_SCORES = max(2 * MOST_QUERIES, MOST_PRODUCTS)


@dataclass(frozen=True, slots=True)
class Derived:
    """Scores, the revisions and number of items that they are of, and the labeled queries that they include."""

    revisions: tuple[int, ...]
    items: int
    queries: Queries | None
    samples: Samples


class GalleryScores:
    """The scores of an open gallery and its local layer. Safe from several threads."""

    def __init__(self, gallery: Layers, folder: Path | None, cohort: Rows | None) -> None:
        """Take the folder of the cache, None for no cache, and foreign products (C, D)."""
        self._gallery = gallery
        self._folder = folder
        self._cohort = np.zeros((0, gallery.meta.dim), np.float32) if cohort is None else cohort

    def are_cached(self, queries: Queries | None) -> bool:
        """Return whether the cache has scores that serve the gallery as it is."""
        if self._folder is None:
            return False
        basis = self._basis(queries)
        return any((self._folder / f"{_name(state, basis)}.npz").is_file() for state in self._alike_states())

    def read(self, queries_now: Callable[[], Queries | None], pause: Callable[[], None]) -> Derived:
        """Return scores that serve the gallery as it is.

        Args:
            queries_now: returns the labeled queries of the present state.
            pause: called between parts of the work.

        Raises:
            GalleryError: the gallery cannot be read.
        """
        if self._folder is not None:
            queries = queries_now()
            stored = self._cached(self._alike_states(), self._basis(queries), queries)
            if stored is not None:
                return stored
        while True:
            newest, items, queries = self._content(queries_now, pause)
            try:
                samples = gallery_samples(self._gallery, items, queries, self._cohort, pause)
                break
            except GalleryError:  # an item was removed and pruned meanwhile, perhaps
                if self._gallery.state().revisions == newest.revisions:
                    raise
        if self._folder is not None:
            write_samples(self._folder, _name(newest, self._basis(queries)), samples)
        return Derived(newest.revisions, len(items), queries, samples)

    def read_looks(self, photos: Photos, pause: Callable[[], None], *, derive: bool) -> Derived | None:
        """Return the scores after a second look; None if too few products have a picture, or the cache has none.

        Args:
            photos: the gallery's.
            pause: called between parts of the work.
            derive: compare the photos if the cache has no scores of about this content.

        Raises:
            GalleryError: the gallery cannot be read.
        """
        basis = self._basis(None, f"{_LOOK_METHOD}, {photos.method}")
        if self._folder is not None:
            stored = self._cached(self._gallery.states(CHANGED * len(self._gallery)), basis, None)
            if stored is not None:
                return stored
        if not derive:
            return None
        photos.complete(pause)
        while True:
            newest, items, _ = self._content(lambda: None, pause)
            try:
                samples = look_samples(self._gallery, items, photos, pause)
                break
            except GalleryError:  # as in `read`
                if self._gallery.state().revisions == newest.revisions:
                    raise
        if samples is None:
            return None
        if self._folder is not None:
            write_samples(self._folder, _name(newest, basis), samples)
        return Derived(newest.revisions, len(items), None, samples)

    def _cached(self, states: Sequence[LayerState], basis: str, queries: Queries | None) -> Derived | None:
        """Return the scores of the first of some states that the cache has."""
        assert self._folder is not None, "there is no cache without it"
        for state in states:
            stored = read_samples(self._folder, _name(state, basis), _MOST_SCORES)
            if stored is not None:
                return Derived(state.revisions, len(self._gallery), queries, stored)
        return None

    def _alike_states(self) -> list[LayerState]:
        """Return the present state and, if it takes long to derive its scores, earlier ones that they may be of."""
        items = len(self._gallery)
        return self._gallery.states(0 if items <= AT_ONCE else CHANGED * items)

    def _basis(self, queries: Queries | None, method: str = _METHOD) -> str:
        """Return a checksum of what scores are derived from, the items left aside."""
        content = hashlib.sha256(f"{method} {self._gallery.meta.fingerprint} ".encode())
        content.update(self._cohort.tobytes())
        if queries is not None:
            content.update(repr(queries.labels).encode())
            content.update(queries.rows.tobytes())
        return content.hexdigest()

    def _content(
        self, queries_now: Callable[[], Queries | None], pause: Callable[[], None]
    ) -> tuple[LayerState, list[GalleryItem], Queries | None]:
        """Return the newest state, its items and queries, although others may commit meanwhile."""
        while True:
            newest, items, queries = self._gallery.state(), self._gallery.items(), queries_now()
            if self._gallery.state().revisions == newest.revisions:
                return newest, items, queries
            pause()


def _name(state: LayerState, basis: str) -> str:
    """Return the name of a state's scores in the cache."""
    return hashlib.sha256(f"{state.digest} {basis}".encode()).hexdigest()[:32]
