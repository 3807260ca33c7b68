"""Scores of a gallery's items after a second look: each compares its photo with those of the others.

As `leave_out`, which asks by the vectors alone: without the items of its label, and without itself. An object is looked
at twice only if the first score does not name it, so its score is the higher of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..gallery import GalleryItem
from ..gallery.labels import NEGATIVE
from ..gallery.layers import Layers
from ..results import Match
from .leave_out import LOWEST_SCORE, SAME_IMAGE, Ids, Rows, chosen_queries
from .samples import KnownScores, Samples, UnknownScores
from .score import NEIGHBORS, score_of
from .support import MOST_PHOTOS, supported
from .threshold import FEWEST_PRODUCTS

MOST_LOOKED = 1000
"""Items that ask, of 10 ms each."""
PICTURED = 0.8
"""Share of the products with a picture from which on these speak for all."""
_ROWS = 512
_ROUNDING = 1e-9
_OTHERS, _OWN = 2 * NEIGHBORS, MOST_PHOTOS


class Photos(Protocol):
    """What a second look needs of a gallery's photos."""

    @property
    def method(self) -> str:
        """Name of how photos are compared; scores of another one are not used."""

    def with_picture(self, ids: Sequence[int]) -> list[int]:
        """Return those items that have a picture."""

    def inliers(self, asking: int, candidates: Sequence[int]) -> list[int]:
        """Return how many points the photo of an item has in common with those of others."""

    def complete(self, pause: Callable[[], None]) -> None:
        """Prepare all photos; `pause` is called between them."""


def look_samples(
    layers: Layers, items: Sequence[GalleryItem], photos: Photos, pause: Callable[[], None]
) -> Samples | None:
    """Return the scores that items with a picture get after a second look.

    None if fewer than 20 products have one, or fewer than four in five: they could not speak for the others.
    """
    numbers: dict[str, int] = {}
    labels = np.array([numbers.setdefault(item.label, len(numbers)) for item in items], np.int64)
    ids = [item.id for item in items]
    pictured = set(photos.with_picture(ids))
    products = np.array([item.id in pictured and item.label != NEGATIVE for item in items], bool).nonzero()[0]
    pictured_labels, all_labels = len(np.unique(labels[products])), len(numbers.keys() - {NEGATIVE})
    if pictured_labels < max(FEWEST_PRODUCTS, PICTURED * all_labels):
        return None
    chosen = products[chosen_queries(labels[products], MOST_LOOKED)]
    unknown: list[tuple[float, int]] = []
    known: list[tuple[float, bool, int]] = []
    for place, near in zip(chosen.tolist(), _near(layers, ids, labels, chosen, pause), strict=True):
        label = items[place].label
        twins = {items[other].label for other, similarity in near.others if similarity >= SAME_IMAGE}
        others = [_match(items[other], similarity) for other, similarity in near.others]
        others = [match for match in others if match.label not in twins or match.label == NEGATIVE][:NEIGHBORS]
        if not others:
            continue
        own = [_match(items[other], similarity) for other, similarity in near.own]
        all_of_them = sorted([*own, *others], key=lambda match: -match.similarity)[:NEIGHBORS]
        compared = {match.item_id for match in [*others[:MOST_PHOTOS], *all_of_them[:MOST_PHOTOS]]}
        inliers = dict(zip(compared, photos.inliers(ids[place], list(compared)), strict=True))
        score, _ = _asked(others, inliers)
        unknown.append((score, int(labels[place])))
        if own:
            score, found = _asked(all_of_them, inliers)
            known.append((score, found == label, int(labels[place])))
        pause()
    return Samples(
        UnknownScores(np.array([one[0] for one in unknown]), np.array([one[1] for one in unknown], np.int64)),
        KnownScores(
            np.array([one[0] for one in known], np.float64),
            np.array([one[1] for one in known], bool),
            np.array([one[2] for one in known], np.int64),
        ),
    )


def look_pays(alone: KnownScores, threshold: float, looked: KnownScores, looked_threshold: float) -> bool:
    """Return whether products get their names at least as often after a second look, as far as the gallery can tell.

    Where unknown objects share their print with products, and others have none (the brands and the fruit of a grocery
    store), the higher threshold costs more names than the second look finds. True with fewer than 20 products that
    have a second photo.
    """
    if min(alone.count, looked.count) < FEWEST_PRODUCTS:
        return True
    return looked.named_right(looked_threshold) >= alone.named_right(threshold) - _ROUNDING


def _match(item: GalleryItem, similarity: float) -> Match:
    return Match(item.id, item.label, similarity)


def _asked(matches: Sequence[Match], inliers: dict[int, int]) -> tuple[float, str]:
    """Return the score and the label that an object with these neighbors gets, at once or after a second look."""
    first = matches[0]
    if first.label == NEGATIVE:
        return LOWEST_SCORE, first.label
    compared = {match.item_id for match in matches[:MOST_PHOTOS]}
    looked = supported(matches, lambda item: inliers[item] if item in compared else 0)
    scores = [(score_of(matches), first.label)]
    if looked[0].label != NEGATIVE:
        scores.append((score_of(looked), looked[0].label))
    return max(scores)


@dataclass(frozen=True, slots=True)
class _Near:
    """Places and similarities of the nearest items of other labels, and of the same one without copies, best first."""

    others: list[tuple[int, float]]
    own: list[tuple[int, float]]


def _near(layers: Layers, ids: Sequence[int], labels: Ids, chosen: Ids, pause: Callable[[], None]) -> Iterator[_Near]:
    asking = layers.embeddings([ids[place] for place in chosen])
    others = _Best(len(chosen), _OTHERS)
    own = _Best(len(chosen), _OWN)
    for start in range(0, len(ids), _ROWS):
        part = slice(start, min(len(ids), start + _ROWS))
        similarities = asking @ layers.embeddings(ids[part]).T
        same = labels[chosen, None] == labels[None, part]
        others.add(np.where(same, -np.inf, similarities), part)
        own.add(np.where(same & (similarities < SAME_IMAGE), similarities, -np.inf), part)
        pause()
    for row in range(len(chosen)):
        yield _Near(others.of(row), own.of(row))


class _Best:
    """The highest similarities so far of each query, and the places of their items."""

    def __init__(self, queries: int, most: int) -> None:
        self._most = most
        self._similarities: Rows = np.full((queries, 0), -np.inf, np.float32)
        self._places: Ids = np.zeros((queries, 0), np.int64)

    def add(self, similarities: Rows, part: slice) -> None:
        """Take the similarities (Q, n) to items of a part."""
        joined = np.concatenate([self._similarities, similarities], axis=1)
        places = np.broadcast_to(np.arange(part.start, part.stop), similarities.shape)
        places = np.concatenate([self._places, places], axis=1)
        if joined.shape[1] > self._most:
            kept = np.argpartition(-joined, self._most - 1, axis=1)[:, : self._most]
            joined, places = np.take_along_axis(joined, kept, 1), np.take_along_axis(places, kept, 1)
        self._similarities, self._places = joined, places

    def of(self, query: int) -> list[tuple[int, float]]:
        """Return place and similarity of a query's nearest items, best first."""
        order = np.argsort(-self._similarities[query], kind="stable")
        found = zip(self._places[query][order].tolist(), self._similarities[query][order].tolist(), strict=True)
        return [(place, similarity) for place, similarity in found if similarity > -np.inf]
