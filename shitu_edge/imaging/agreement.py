"""Whether two pictures show the same print: key points that match, and move as one from one picture to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .local_features import LocalFeatures
from .opencv import opencv

_RATIO = 0.85
"""Of the distance to the best match to that of the second best: above it, a point could be either (Lowe 2004)."""
_PIXELS = 8.0
"""How far a point may be from where the affine map of the others puts it."""
_FEWEST = 6
"""Matches. An affine map is defined by three, so fewer agree by chance."""
_TRIALS, _SURE = 1000, 0.99
"""Of RANSAC: at most, and how sure it is to have met three right matches among as many as it has found."""

Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Points (N, 2) of an object that agree with points (N, 2) of a photo, both in pixels of what was looked at."""

    object_xy: Points
    photo_xy: Points

    def __len__(self) -> int:
        return len(self.object_xy)


NOTHING = Agreement(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32))


def agreements(points_xy: Points, rows: NDArray[np.float32], photos: Sequence[LocalFeatures]) -> list[Agreement]:
    """Return what an object has in common with each of some photos.

    Two descriptors match if each is the nearest to the other and the second best is clearly farther; of the matches
    those count that one affine map explains (RANSAC).

    Args:
        points_xy: the object's key points (N, 2).
        rows: their descriptors as unit rows (N, 128).
        photos: features of the photos.
    """
    if len(points_xy) < _FEWEST or not photos:
        return [NOTHING] * len(photos)
    together = np.concatenate([photo.rows() for photo in photos])
    similarities = rows @ together.T
    ends = np.cumsum([len(photo) for photo in photos]).tolist()
    return [
        _agreement(points_xy, photo.points_xy, similarities[:, end - len(photo) : end])
        for photo, end in zip(photos, ends, strict=True)
    ]


def _agreement(object_xy: Points, photo_xy: Points, similarities: NDArray[np.float32]) -> Agreement:
    if len(photo_xy) < _FEWEST:
        return NOTHING
    nearest = similarities.argmax(axis=1)
    places = np.arange(len(object_xy))
    mutual = similarities.argmax(axis=0)[nearest] == places
    places, nearest = places[mutual], nearest[mutual]
    some = similarities[places]
    best = some[np.arange(len(places)), nearest].copy()
    some[np.arange(len(places)), nearest] = -1
    clear = 1 - best < _RATIO**2 * (1 - some.max(axis=1, initial=-1))  # squared distances are 2 - 2 · similarity
    places, nearest = places[clear], nearest[clear]
    if len(places) < _FEWEST:
        return NOTHING
    cv2 = opencv()
    assert cv2 is not None, "features were found by it"
    here, there = object_xy[places], photo_xy[nearest]
    _, kept = cv2.estimateAffine2D(
        there, here, method=cv2.RANSAC, ransacReprojThreshold=_PIXELS, maxIters=_TRIALS, confidence=_SURE, refineIters=0
    )
    if kept is None:
        return NOTHING
    inside = kept.ravel().astype(bool)
    return Agreement(here[inside], there[inside])
