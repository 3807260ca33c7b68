"""How what a second look finds enters the score: it raises the similarity of a photo that agrees with the object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..gallery.labels import NEGATIVE
from ..results import LEAST_INLIERS, Match
from .score import score_of

MOST_PHOTOS = 30
"""Nearest photos that are compared: 20 name a point less of one-shot drinks right, and 50 no more."""


def supported(
    matches: Sequence[Match], inliers: Callable[[int], int], turned: Sequence[Match] = ()
) -> tuple[Match, ...]:
    """Return matches with their inliers, the best supported first.

    Args:
        matches: nearest items of an object.
        inliers: returns how many points the photo of an item has in common with the object, 0 if it was not compared.
        turned: nearest items of the object turned. One that agrees counts with the highest similarity that it has to
            the object, however turned; the others count as the object is.
    """
    nearest = {match.item_id: match for match in matches}
    for match in turned:
        before = nearest.get(match.item_id)
        if inliers(match.item_id) > LEAST_INLIERS and (before is None or before.similarity < match.similarity):
            nearest[match.item_id] = match
    judged = [replace(match, inliers=inliers(item)) for item, match in nearest.items()]
    return tuple(sorted(judged, key=lambda match: -match.support))


def judged(first: tuple[Match, ...], looked: tuple[Match, ...]) -> tuple[Match, ...]:
    """Return the matches by which an object gets its name: those after a look, unless they lower its score.

    Other products of a brand have points in common too, and raise their similarities, when one near 1 hardly rises.
    The calibrated scores are the higher ones as well (`looks`).
    """
    if not first or looked[0].label == NEGATIVE:
        return looked
    return looked if score_of(looked) >= score_of(first) else first
