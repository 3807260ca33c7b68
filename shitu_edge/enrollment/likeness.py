"""Items that resemble each other, and labels that are spelled alike."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..gallery import Gallery, NewGalleryItem

REPEATED = 0.98
CONFUSABLE = 0.9
"""Cosines from which two items of one label, or of two, are called nearly the same."""
_NEIGHBORS = 16
_ROWS = 256


@dataclass(frozen=True, slots=True)
class Resemblance:
    """An enrolled image and an earlier item that it resembles: sources, labels, cosine."""

    source: str
    label: str
    other_source: str
    other_label: str
    similarity: float

    @property
    def is_of_one_label(self) -> bool:
        """Whether both have the same label."""
        return self.label == self.other_label


def identical_images(items: Sequence[NewGalleryItem], contents: Sequence[bytes]) -> list[Resemblance]:
    """Return the items whose content, by its digest, is that of an earlier one."""
    first: dict[bytes, NewGalleryItem] = {}
    found = []
    for item, content in zip(items, contents, strict=True):
        other = first.setdefault(content, item)
        if other is not item:
            found.append(Resemblance(item.source, item.label, other.source, other.label, 1.0))
    return found


def resemblances(gallery: Gallery, items: Sequence[NewGalleryItem], replaced: str | None = None) -> list[Resemblance]:
    """Return the nearest item of the own label and of another label that each item is nearly the same as.

    Compared are the items before it and those of the gallery, of a large one the nearest 16.

    Args:
        gallery: as it is before the items are added.
        items: new ones.
        replaced: the label whose items they replace, if any.
    """
    found = [*_among(items), *_in_gallery(gallery, items, replaced)]
    nearest: dict[tuple[int, bool], tuple[float, Resemblance]] = {}
    for place, one in found:
        key = place, one.is_of_one_label
        if one.similarity >= (REPEATED if one.is_of_one_label else CONFUSABLE):
            nearest[key] = max(nearest.get(key, (-1.0, one)), (one.similarity, one), key=lambda pair: pair[0])
    return [one for _, (_, one) in sorted(nearest.items(), key=lambda pair: pair[0])]


def _among(items: Sequence[NewGalleryItem]) -> Iterator[tuple[int, Resemblance]]:
    """Yield for each item the nearest earlier one of its label and of others."""
    if not items:
        return
    rows = np.stack([item.embedding for item in items])
    numbers = {label: number for number, label in enumerate(dict.fromkeys(item.label for item in items))}
    labels = np.array([numbers[item.label] for item in items])
    for start in range(0, len(items), _ROWS):
        stop = min(start + _ROWS, len(items))
        cosines = rows[start:stop] @ rows[:stop].T
        cosines[np.triu_indices(stop - start, start, stop)] = -2  # itself and later ones
        own = labels[start:stop, None] == labels[None, :stop]
        for of_own, least in ((own, REPEATED), (~own, CONFUSABLE)):
            best = np.where(of_own, cosines, -2)
            nearest = best.argmax(axis=1)
            for place in np.flatnonzero(best.max(axis=1) >= least).tolist():
                item, other = items[start + place], items[int(nearest[place])]
                cosine = float(best[place, nearest[place]])
                yield start + place, Resemblance(item.source, item.label, other.source, other.label, cosine)


def _in_gallery(
    gallery: Gallery, items: Sequence[NewGalleryItem], replaced: str | None
) -> Iterator[tuple[int, Resemblance]]:
    """Yield for each item what it resembles in the gallery."""
    if not len(gallery) or not items:
        return
    matches = gallery.search(np.stack([item.embedding for item in items]), min(_NEIGHBORS, len(gallery)))
    if not any(match[0].similarity >= CONFUSABLE for match in matches if match):
        return
    sources = {item.id: item.source for item in gallery.items()}
    for place, (item, found) in enumerate(zip(items, matches, strict=True)):
        for match in found:
            if match.label != replaced and match.item_id in sources:
                source = sources[match.item_id]
                yield place, Resemblance(item.source, item.label, source, match.label, match.similarity)


def spelled_alike(labels: Iterable[str], new: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the labels, of which one is new, that differ only in case, spaces, or full-width forms."""
    groups: dict[str, set[str]] = defaultdict(set)
    for label in labels:
        groups["".join(unicodedata.normalize("NFKC", label).casefold().split())].add(label)
    ours = set(new)
    return [tuple(sorted(group)) for _, group in sorted(groups.items()) if len(group) > 1 and group & ours]
