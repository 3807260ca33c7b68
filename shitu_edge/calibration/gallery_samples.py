"""Scores of a gallery's own items, of its labeled queries, and of a bundle's foreign products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..gallery import GalleryItem
from ..gallery.labels import NEGATIVE
from ..gallery.layers import Layers
from .leave_out import Ids, Rows, chosen_queries, foreign_scores, leave_out, random_claims
from .samples import Samples
from .stored import Queries
from .threshold import FEWEST_PRODUCTS

_ROWS = 512


def gallery_samples(
    gallery: Layers, items: Sequence[GalleryItem], queries: Queries | None, cohort: Rows, pause: Callable[[], None]
) -> Samples:
    """Return the scores that a gallery's items and labeled queries get, and those of foreign products if it has few.

    Args:
        gallery: where the embeddings are.
        items: of one state.
        queries: labeled images; None without any.
        cohort: unit rows (C, D) of foreign products.
        pause: called between parts of the work.
    """
    numbers: dict[str, int] = {}
    labels = np.array([numbers.setdefault(item.label, len(numbers)) for item in items], np.int64)
    negative = numbers.get(NEGATIVE, -1)
    ids = [item.id for item in items]
    products = np.flatnonzero(labels != negative)
    if not len(products):
        return Samples()
    chosen = products[chosen_queries(labels[products])]
    asking, asked = gallery.embeddings([ids[place] for place in chosen]), labels[chosen]
    if queries is not None:
        asking = np.concatenate([asking, queries.rows])
        asked = np.concatenate([asked, _numbered(queries.labels, numbers)])

    def blocks() -> Iterator[tuple[Rows, Ids]]:
        for start in range(0, len(ids), _ROWS):
            yield gallery.embeddings(ids[start : start + _ROWS]), labels[start : start + _ROWS]

    claims = random_claims(asked, labels[products])
    samples = leave_out(asking, asked, blocks, pause, negative=negative, claims=claims)
    if samples.unknown.count < FEWEST_PRODUCTS and len(cohort):
        samples = replace(samples, foreign=foreign_scores(cohort, blocks(), pause, negative=negative))
    return samples


def _numbered(labels: Sequence[str | None], numbers: dict[str, int]) -> Ids:
    """Return label numbers (Q,) of queries; what the gallery does not have gets numbers of its own.

    Without a label each is a product of its own.
    """
    further: dict[object, int] = {}
    first = len(numbers)
    return np.array(
        [
            numbers[label]
            if label is not None and label in numbers and label != NEGATIVE
            else further.setdefault(place if label is None else label, first + len(further))
            for place, label in enumerate(labels)
        ],
        np.int64,
    )
