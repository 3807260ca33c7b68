"""A local layer brought home: its items, with how they were made, are added to the central gallery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...errors import FingerprintError, GalleryError
from ..gallery import Gallery
from ..store import Change, GalleryItem, NewGalleryItem

_SAME = 0.9999
"""Cosine from which two items of one label are the same photo: their embeddings differ by rounding alone."""
_AT_ONCE = 50
"""Items with a picture in memory at a time."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of the items of a local layer.

    Attributes:
        ids: of the items that were added to the central gallery.
        known: how many the central gallery had already.
        left: how many it lacks, because nothing was to be added.
        dropped: how many were removed from the local layer.
    """

    ids: tuple[int, ...]
    known: int
    left: int
    dropped: int


def merge_layer(
    center: Gallery, local: Gallery, *, add: bool = True, drop: bool = False, author: str = "", note: str = ""
) -> Merged:
    """Add the current items of a local layer to the central gallery, as one revision.

    Label, source, embedding and origin stay. Items that the central gallery has already, under the same label at a
    cosine of 0.9999 or more, are skipped. So a merge that was interrupted, or is run again, adds none twice.

    Args:
        center: the central gallery.
        local: another file, of the same extractor.
        add: False adds nothing, for a copy of the central gallery that has to follow its patches.
        drop: then remove from the local layer, as one revision, the items that the central gallery has. What was
            relabeled or removed there meanwhile stays as it is.
        author: of both revisions.
        note: of both revisions; the name of the other file when empty.

    Raises:
        FingerprintError: the extractors differ.
        GalleryError: both are one file, or one of them cannot be read or written.
    """
    _check(center, local)
    items = local.items()
    lacking = _lacking(center, local, items)
    ids: list[int] = []
    if add and lacking:
        with center.change(author=author, note=note or f"merged from {local.path.name}") as change:
            lacking = _lacking(center, local, lacking)  # others may have added them until now
            ids = [change.add(item) for item in _new(local, lacking)]
    left = set() if add else {item.id for item in lacking}
    dropped = 0
    if drop:
        with local.change(author=author, note=note or f"merged into {center.path.name}") as change:
            dropped = _drop(change, local, [item for item in items if item.id not in left])
    return Merged(tuple(ids), len(items) - len(lacking), len(left), dropped)


def _check(center: Gallery, local: Gallery) -> None:
    if center.path.samefile(local.path):
        raise GalleryError(f"{local}: is the central gallery itself; expected another file, the local layer")
    ours, theirs = center.meta, local.meta
    if (ours.fingerprint, ours.dim) != (theirs.fingerprint, theirs.dim):
        raise FingerprintError(
            f"{local}: was made with extractor {theirs.extractor} ({theirs.fingerprint[:8]}), but {center} with "
            f"{ours.extractor} ({ours.fingerprint[:8]}); re-embed one of them with `shitu-edge gallery re-embed`"
        )


def _lacking(center: Gallery, local: Gallery, items: list[GalleryItem]) -> list[GalleryItem]:
    """Return those items of the local layer that the central gallery lacks, in their order."""
    by_label: dict[str, list[GalleryItem]] = {}
    for item in items:
        by_label.setdefault(item.label, []).append(item)
    known = set()
    for label, own in by_label.items():
        there = [item.id for item in center.items(label)]
        if there:
            rows = local.embeddings([item.id for item in own])
            nearest = (rows @ center.embeddings(there).T).max(axis=1)
            known |= {own[place].id for place in np.flatnonzero(nearest >= _SAME).tolist()}
    return [item for item in items if item.id not in known]


def _new(local: Gallery, items: list[GalleryItem]) -> Iterator[NewGalleryItem]:
    for start in range(0, len(items), _AT_ONCE):
        some = items[start : start + _AT_ONCE]
        ids = [item.id for item in some]
        origins = local.origins(ids)
        for item, row in zip(some, local.embeddings(ids), strict=True):
            yield NewGalleryItem(item.label, item.source, row, origins.get(item.id))


def _drop(change: Change, local: Gallery, merged: list[GalleryItem]) -> int:
    """Remove items of the local layer that are still what was merged; return how many."""
    present = {item.id: item for item in local.items()}
    return len(change.remove([item.id for item in merged if present.get(item.id) == item]))
