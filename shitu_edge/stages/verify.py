"""A second look: where the vector leaves a doubt, local features of the object and of the nearest photos decide.

The nearest photos are compared with the object, then those that are nearest to it when it is turned. What agrees raises
the photo's similarity (`Match.support`), and the labels are judged by that; see `decide`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..calibration.support import supported
from ..imaging.agreement import NOTHING, Agreement, agreements
from ..imaging.geometry import Pixels
from ..imaging.local_features import LocalFeatures
from ..results import Evidence, Match

MOST_TURNED = 10
"""Further ones of the object turned by 90, 180 and 270 degrees."""
TURNS = (1, 2, 3)
_CLEAR_INLIERS, _CLEAR_LEAD = 25, 2.0
"""From so many inliers, and so many times those of other labels, the turned object is not asked about."""


@dataclass(frozen=True, slots=True)
class Looked:
    """An object's nearest items, the best supported first, and what the photos of some have in common with it.

    `scale`: pixels of the crop per pixel of the agreements.
    """

    matches: tuple[Match, ...]
    agreements: Mapping[int, Agreement]
    scale: float = 1.0

    @property
    def is_clear(self) -> bool:
        """Whether one label has far more support than the others."""
        best: dict[str, int] = {}
        for match in self.matches:
            best[match.label] = max(best.get(match.label, 0), match.inliers)
        first, second, *_ = [*sorted(best.values(), reverse=True), 0, 0]
        return first >= _CLEAR_INLIERS and first >= _CLEAR_LEAD * second


def turned(pixels_rgb: Pixels) -> list[Pixels]:
    """Return a crop turned by 90, 180 and 270 degrees."""
    return [np.ascontiguousarray(np.rot90(pixels_rgb, quarter)) for quarter in TURNS]


def photos_to_compare(matches: Sequence[Match], compared: Mapping[int, Agreement], most: int) -> list[int]:
    """Return the ids of the nearest items that are still to be compared."""
    return [match.item_id for match in matches[:most] if match.item_id not in compared]


def compare(
    features: LocalFeatures, looked: Looked, photos: Mapping[int, LocalFeatures], turned_matches: Sequence[Match] = ()
) -> Looked:
    """Return a look in which further photos were compared.

    Args:
        features: of the object.
        looked: what is known so far.
        photos: features of further photos, by item.
        turned_matches: the nearest items of the turned object. An item that agrees counts with the highest similarity
            that it has to the object, however turned; the others only as the object is.
    """
    fresh = dict(zip(photos, agreements(features.points_xy, features.rows(), list(photos.values())), strict=True))
    found = {**looked.agreements, **fresh}
    matches = supported(looked.matches, lambda item: len(found.get(item, NOTHING)), turned_matches)
    return Looked(matches, found, features.scale)


def evidence_of(
    look: Looked, box_xyxy: NDArray[np.float32], scale_xy: tuple[float, float], item_id: int
) -> Evidence | None:
    """Return which points agree with the photo of an item; None if it was not compared.

    Args:
        look: of the object.
        box_xyxy: its box (4,) in decoded pixels.
        scale_xy: pixels of the image per decoded pixel.
        item_id: the item.
    """
    found = look.agreements.get(item_id)
    if found is None:
        return None
    corner = np.trunc(box_xyxy[:2])
    return Evidence(item_id, (corner + found.object_xy * look.scale) * np.array(scale_xy, np.float32), found.photo_xy)
