"""Region, zones to ignore, sizes and tiles of a counter, from the boxes that were seen on it. Pure.

Boxes are (N, 4), as shares of the image's width and height.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..imaging.geometry import Boxes, Pixels, iou
from ..stages.tiles import auto_tiles
from ..stages.view import TileCount, View

FEWEST_OBJECTS = 20
"""Objects from which sizes are stated."""
_NEAR = 0.2
"""Distance of centers, as a share of the image's sides, up to which sightings support each other."""
_ROOM = 0.05
"""Share of the image around all objects that belongs to the region too."""
_MOST_OF_IT = 0.85
"""Share of the image from which on a region brings nothing."""
_SMALLER, _LARGER = 0.5, 1.5
"""Factors to the smallest and largest object seen."""
_OUTERMOST = 0.02
"""Share of the objects that may be smaller or larger than these."""
_SAME_PLACE = 0.7
_OFTEN = 0.6
"""Share of the frames in which something has to be found in the same place to be ignored there."""
_FEWEST_FRAMES = 5
_SAME_LOOK = 0.8
"""Correlation from which what lies in a place looks the same in two frames."""


def supported(boxes: Boxes, frames: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which boxes lie near one of another frame; all if they are of fewer than three frames."""
    if len(set(frames.tolist())) < 3:
        return np.ones(len(boxes), bool)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = np.abs(centers[:, None] - centers).max(axis=2) <= _NEAR
    found: NDArray[np.bool_] = (near & (frames[:, None] != frames)).any(axis=1)
    return found


def region_of(boxes: Boxes) -> tuple[float, float, float, float] | None:
    """Return the box around all boxes and some room; None if that is nearly the image, or there are none."""
    if not len(boxes):
        return None
    x1, y1 = (max(0.0, float(low) - _ROOM) for low in boxes[:, :2].min(axis=0))
    x2, y2 = (min(1.0, float(high) + _ROOM) for high in boxes[:, 2:].max(axis=0))
    if (x2 - x1) * (y2 - y1) >= _MOST_OF_IT:
        return None
    return round(x1, 3), round(y1, 3), round(x2, 3), round(y2, 3)


def sizes_of(boxes: Boxes, view: View, height: int, width: int) -> NDArray[np.float64]:
    """Return the sizes (N,) of boxes as a view's `min_size` and `max_size` measure them."""
    return view.sizes(_pixels(boxes, height, width), height, width)


def size_limits(sizes: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return the smallest and largest size of an object, generously; None where nothing would be left out."""
    if len(sizes) < FEWEST_OBJECTS:
        return None, None
    low, high = np.quantile(sizes, [_OUTERMOST, 1 - _OUTERMOST])
    largest = _LARGER * float(high)
    return round(_SMALLER * float(low), 3), None if largest >= 1 else round(largest, 3)


def tiles_for(boxes: Boxes, view: View, height: int, width: int) -> TileCount:
    """Return the number of tiles by the rule of `tiles="auto"`, with the median over all frames."""
    return auto_tiles(_pixels(boxes, height, width), view.area(height, width))


def always_there(
    boxes: Boxes, numbers: NDArray[np.intp], frames: Sequence[Pixels]
) -> tuple[list[NDArray[np.bool_]], list[NDArray[np.bool_]]]:
    """Return what is found in the same place in most frames, each as its boxes (N,): what changes, and what rests.

    A screen changes; a product that lies there for long looks the same.

    Args:
        boxes: all of them.
        numbers: of their frames (N,).
        frames: pixels (h, w, 3) uint8 RGB of equal size.
    """
    left = np.ones(len(boxes), bool)
    changing: list[NDArray[np.bool_]] = []
    resting: list[NDArray[np.bool_]] = []
    for seed in range(len(boxes)):
        same = left & (iou(boxes[seed], boxes) >= _SAME_PLACE)
        if not left[seed] or len(set(numbers[same].tolist())) < max(_FEWEST_FRAMES, _OFTEN * len(frames)):
            continue
        left &= ~same
        place = boxes[same].mean(axis=0)
        looks = [_patch(frames[number], place) for number in numbers[same]]
        alike = np.median([np.corrcoef(one, other)[0, 1] for one, other in pairwise(looks)])
        (resting if alike >= _SAME_LOOK else changing).append(same)
    return changing, resting


def zone_around(boxes: Boxes) -> tuple[float, float, float, float]:
    """Return the box around boxes of one place."""
    x1, y1 = boxes[:, :2].min(axis=0).tolist()
    x2, y2 = boxes[:, 2:].max(axis=0).tolist()
    return round(max(0.0, x1), 3), round(max(0.0, y1), 3), round(min(1.0, x2), 3), round(min(1.0, y2), 3)


def _pixels(boxes: Boxes, height: int, width: int) -> Boxes:
    return boxes * np.array([width, height, width, height], np.float32)


def _patch(pixels_rgb: Pixels, box: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return gray levels of a box, in a row; a little noise keeps the correlation of plain ones defined."""
    height, width = pixels_rgb.shape[:2]
    x1, y1, x2, y2 = (box * np.array([width, height] * 2)).astype(int).tolist()
    gray: NDArray[np.float64] = (
        pixels_rgb[y1 : max(y2, y1 + 2), x1 : max(x2, x1 + 2)].sum(axis=2, dtype=np.float64).ravel()
    )
    gray[0] += 1e-3
    return gray
