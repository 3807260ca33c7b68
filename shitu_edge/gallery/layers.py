"""A kiosk's own gallery on top of the central one: two files, searched and calibrated as if they were one.

Patches of the center go to the central file, and fit because nothing else changes it. What is enrolled on the kiosk
goes to the local file, whose items have negative ids here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice, product
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..errors import GalleryError
from ..results import Match
from .gallery import Gallery
from .index import Rows
from .protocol import GallerySearch, require_extractor
from .store import GalleryItem, Meta, Origin, Revision

_MOST_STATES = 100
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class LayerMatches:
    """The answer to queries.

    Attributes:
        revision, local_revision: of the central and the local gallery that answered; None without a local one.
        matches: of each query, best first.
    """

    revision: int
    local_revision: int | None
    matches: list[tuple[Match, ...]]

    @classmethod
    def of(cls, gallery: GallerySearch, queries: Rows, k: int, workers: Executor | None = None) -> LayerMatches:
        """Return the answer of one gallery; see `GallerySearch.search_with_revision`."""
        revision, matches = gallery.search_with_revision(queries, k, workers)
        return cls(revision, None, matches)


@dataclass(frozen=True, slots=True)
class LayerState:
    """What the layers held at some time.

    Attributes:
        revisions: one per layer, the central one first.
        digest: checksum of the content.
        changed: how many items were added or removed since.
    """

    revisions: tuple[int, ...]
    digest: str
    changed: int


class Layers:
    """A central gallery, with a local one on top or alone. Safe from several threads; closes neither.

    Settings are the central gallery's. `str` names its file.
    """

    def __init__(self, central: Gallery, local: Gallery | None = None) -> None:
        self.central = central
        self.local = local
        self._layers = (central,) if local is None else (central, local)

    def __str__(self) -> str:
        return str(self.central)

    def __len__(self) -> int:
        return sum(map(len, self._layers))

    @property
    def meta(self) -> Meta:
        """The extractor's name and fingerprint, and the dimension."""
        return self.central.meta

    @property
    def revisions(self) -> tuple[int, ...]:
        """The present revision of each layer, the central one first; it differs after every change."""
        return tuple(layer.revision for layer in self._layers)

    def search(self, queries: Rows, k: int, workers: Executor | None = None) -> LayerMatches:
        """Return the `k` nearest items of both layers to each query (Q, D), those of the central one first if equal.

        See `GallerySearch.search_with_revision`; each layer answers with one revision of its own.
        """
        found = LayerMatches.of(self.central, queries, k, workers)
        if self.local is None:
            return found
        revision, own = self.local.search_with_revision(queries, k, workers)
        merged = [_nearest(*pair, k) for pair in zip(found.matches, own, strict=True)]
        return LayerMatches(found.revision, revision, merged)

    def items(self, label: str | None = None) -> list[GalleryItem]:
        """Return the items, all or one label's: the central gallery's by id, then the local one's."""
        own = [] if self.local is None else self.local.items(label)
        return [*self.central.items(label), *(replace(item, id=-item.id) for item in own)]

    def embeddings(self, ids: Sequence[int]) -> Rows:
        """Return the unit rows (N, D) float32 of items. Raises `GalleryError` if there is no such item."""
        if self.local is None:
            return self.central.embeddings(ids)
        numbers = np.asarray(ids, np.int64)
        own = numbers < 0
        rows = np.empty((len(numbers), self.meta.dim), np.float32)
        rows[~own] = self.central.embeddings(numbers[~own].tolist())
        rows[own] = self.local.embeddings((-numbers[own]).tolist())
        return rows

    def picture_keys(self, ids: Sequence[int]) -> dict[int, bytes]:
        """Return what tells the kept pictures of items apart, by id; items without a picture are left out."""
        return self._of_each(ids, Gallery.picture_keys)

    def origins(self, ids: Sequence[int]) -> dict[int, Origin]:
        """Return how items were made, with their pictures, by id; see `Gallery.origins`."""
        return self._of_each(ids, Gallery.origins)

    def files(self) -> tuple[Path, ...]:
        """Return the files of the layers, the central one first."""
        return tuple(layer.path for layer in self._layers)

    def _of_each(self, ids: Sequence[int], read: Callable[[Gallery, Sequence[int]], dict[int, _T]]) -> dict[int, _T]:
        """Return what each layer has of its items, by id."""
        found = read(self.central, [number for number in ids if number >= 0])
        if self.local is not None:
            own = read(self.local, [-number for number in ids if number < 0])
            found.update((-number, value) for number, value in own.items())
        return found

    def labels(self) -> set[str]:
        """Return the labels of either layer."""
        return {label for layer in self._layers for label in layer.label_counts()}

    def settings(self) -> dict[str, bytes]:
        """Return the central gallery's settings."""
        return self.central.settings()

    def state(self) -> LayerState:
        """Return the present state, as the files have it."""
        return self.states(0)[0]

    def states(self, changed: float) -> list[LayerState]:
        """Return the present state, then up to 99 earlier ones since which fewer items than `changed` did change."""
        pasts = [list(_past(layer.history.log(), changed)) for layer in self._layers]
        found = [_together(states) for states in product(*pasts)]
        found = [found[0], *(state for state in found[1:] if state.changed < changed)]
        return sorted(found, key=lambda state: state.changed)[:_MOST_STATES]

    def changed_since(self, revisions: Sequence[int]) -> int:
        """Return how many items were added or removed since these revisions of the layers."""
        return sum(
            entry.added + entry.removed
            for layer, revision in zip(self._layers, revisions, strict=True)
            for entry in layer.history.log()
            if entry.id > revision
        )


def open_local(local: Gallery | str | os.PathLike[str], central: Gallery, meta: Meta, bundle: str = "") -> Gallery:
    """Open a local layer of a central gallery; one that is named by its file is created if it is missing.

    Args:
        local: its file, or the open gallery.
        central: the gallery that it is to lie on.
        meta: the extractor in use.
        bundle: its bundle's name or folder, for messages.

    Raises:
        FingerprintError: it was made with another extractor.
        GalleryError: both are one file or copies of one gallery, or the local file cannot be opened or created.
    """
    if isinstance(local, Gallery):
        _check_local(local, central, meta, bundle)
        return local
    opened = _opened(Path(local), meta)
    try:
        _check_local(opened, central, meta, bundle)
    except BaseException:
        opened.close()
        raise
    return opened


def _check_local(local: Gallery, central: Gallery, meta: Meta, bundle: str) -> None:
    if local.path.samefile(central.path):
        raise GalleryError(f"{local}: is the gallery itself; name another file as its local layer")
    if local.history.id == central.history.id:
        raise GalleryError(f"{local}: is a copy of {central}; name a file of its own as the local layer")
    require_extractor(local, meta.extractor, meta.fingerprint, bundle)


def _opened(path: Path, meta: Meta) -> Gallery:
    if not os.path.lexists(path):
        try:
            return Gallery.create(path, extractor=meta.extractor, fingerprint=meta.fingerprint, dim=meta.dim)
        except GalleryError:
            if not os.path.lexists(path):  # else another process has just created it
                raise
    return Gallery.open(path)


def _nearest(central: Sequence[Match], local: Sequence[Match], k: int) -> tuple[Match, ...]:
    own = (replace(match, item_id=-match.item_id) for match in local)
    return tuple(islice(merge(central, own, key=lambda match: -match.similarity), k))


def _past(log: Sequence[Revision], most: float) -> Iterator[LayerState]:
    """Yield a layer's newest state, and earlier ones since which fewer than `most` items have changed."""
    changed = 0
    for entry in log[:_MOST_STATES]:
        if changed >= most and entry is not log[0]:
            return
        yield LayerState((entry.id,), entry.digest, changed)
        changed += entry.added + entry.removed


def _together(states: Sequence[LayerState]) -> LayerState:
    """Return the state of several layers from that of each."""
    return LayerState(
        tuple(revision for state in states for revision in state.revisions),
        " ".join(state.digest for state in states),
        sum(state.changed for state in states),
    )
