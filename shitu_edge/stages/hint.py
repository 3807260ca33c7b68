"""A sentence for whoever mounts the camera, if what it shows suits the detector badly. See `docs/camera.md`."""

from __future__ import annotations

import math

from .detect import Detector
from .survey import Survey

_DISTORTED = math.log(2)
_SMALL = 0.15
"""Median size, see `median_size`, below which one object in three is missed at the bundle's threshold."""


def hint(seen: Survey, detector: Detector) -> str | None:
    """Return what to change if the detector's input distorts the view much, or if most objects in it are small.

    None if the boxes were given, and the detector has not looked.
    """
    if not seen.tiles:
        return None
    x1, y1, x2, y2 = seen.area_xyxy
    factor = detector.distortion(y2 - y1, x2 - x1)
    if factor > _DISTORTED:
        return (
            f"the image is squeezed {math.exp(factor):.1f}-fold into the detector's input: turn the camera by 90°, or "
            "name a region of another shape"
        )
    if seen.tiles == 1 and seen.median_size(detector.score_threshold) < _SMALL:  # what is faint is often small
        return "most objects are so small that many are missed: move the camera closer, name a region, or use tiles"
    return None
