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
_SCALES, _STRETCH = (0.1, 10.0), 4.0
"""Of a map from a photo to an object that a camera can have made. What no print has in common fits others as well."""
_TRIALS, _SURE = 1000, 0.99
"""Of RANSAC: at most, and how sure it is to have met three right matches among as many as it has found."""
_ROWS, _COLUMNS = 50, 40
"""Of the blocks that are multiplied: with 128 numbers each, below `SMALL_PRODUCT`."""

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
    mine = _blocks([rows], _ROWS)[:, None]
    theirs = _blocks([photo.rows() for photo in photos], _COLUMNS)
    products = np.matmul(mine, theirs.transpose(0, 2, 1))  # (blocks of mine, blocks of theirs, rows, columns)
    found, start = [], 0
    for photo in photos:
        end = start + -(-len(photo) // _COLUMNS)
        table = products[:, start:end].transpose(0, 2, 1, 3).reshape(len(mine) * _ROWS, -1)
        found.append(_agreement(points_xy, photo.points_xy, table[: len(rows), : len(photo)]))
        start = end
    return found


def _blocks(parts: Sequence[NDArray[np.float32]], size: int) -> NDArray[np.float32]:
    """Return rows (N, 128) of several arrays in blocks (B, size, 128), the last of each array filled up with zeros."""
    counts = [-(-len(part) // size) for part in parts]
    blocks = np.zeros((sum(counts), size, parts[0].shape[1]), np.float32)
    start = 0
    for part, count in zip(parts, counts, strict=True):
        blocks[start : start + count].reshape(-1, blocks.shape[2])[: len(part)] = part
        start += count
    return blocks


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
    affine, kept = cv2.estimateAffine2D(
        there, here, method=cv2.RANSAC, ransacReprojThreshold=_PIXELS, maxIters=_TRIALS, confidence=_SURE, refineIters=0
    )
    if affine is None or not _is_possible(affine[:, :2]):
        return NOTHING
    inside = kept.ravel().astype(bool)
    return Agreement(here[inside], there[inside])


def _is_possible(linear: NDArray[np.float64]) -> bool:
    """Return whether a camera can have made a map (2, 2): it does not mirror, nor squeeze to a line."""
    least, most = _SCALES
    if np.linalg.det(linear) <= 0:
        return False
    long, short = np.linalg.svd(linear, compute_uv=False)
    return bool(least < short and long < most and long < _STRETCH * short)
