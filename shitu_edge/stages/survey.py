"""What an image shows in a view: the detections that count, those that do not, and the part that was looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..imaging.geometry import Pixels
from ..results import Detections, Dropped, DropReason
from .background import background
from .deadline import LeavesTime
from .decode import DecodedImage
from .detect import Detector
from .regions import boxes_to_look_at, in_original_pixels, unseen
from .tiles import Area, look, median_size
from .view import View

_SMALL = 0.2
"""Median size of the sure boxes below which faint ones count as well: what is small scores lower."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Detections in decoded pixels, best first.

    Attributes:
        found: those that count.
        others: those that do not, by reason.
        area_xyxy: what was looked at.
        tiles: the number of tiles in which it is looked at; 0 if the boxes were given.
        left_out: tiles that the deadline left no time for.
    """

    found: Detections
    others: tuple[tuple[DropReason, Detections], ...]
    area_xyxy: Area
    tiles: int
    left_out: int = 0

    def median_size(self, least: float) -> float:
        """Return the median size (`tiles.median_size`) of the detections with a score of at least `least`."""
        return median_size(self.found.boxes_xyxy[self.found.scores >= least], self.area_xyxy)

    def without_faint(self, threshold: float) -> Survey:
        """Return it without detections of a lower score, unless most of the others are small."""
        if self.median_size(threshold) < _SMALL:
            return self
        others = tuple((reason, some.only(some.scores >= threshold)) for reason, some in self.others)
        return replace(self, found=self.found.only(self.found.scores >= threshold), others=others)

    def pixels(self, decoded: DecodedImage) -> Pixels:
        """Return the pixels that were looked at."""
        x1, y1, x2, y2 = self.area_xyxy
        return decoded.pixels_rgb[y1:y2, x1:x2]

    def dropped(self, decoded: DecodedImage) -> tuple[Dropped, ...]:
        """Return the detections that do not count, in pixels of the image."""
        return tuple(
            box
            for reason, some in self.others
            for box in unseen(in_original_pixels(some.boxes_xyxy, decoded), some.scores.tolist(), reason)
        )


def survey(
    detector: Detector,
    decoded: DecodedImage,
    view: View,
    score_threshold: float | None,
    leaves_time: LeavesTime | None = None,
) -> Survey:
    """Detect what a view shows; `score_threshold` as in `Detector.detect_all`, `leaves_time` as in `look`."""
    height, width = decoded.pixels_rgb.shape[:2]
    area = view.area(height, width)
    looked = look(detector, decoded.pixels_rgb, area, view.tiles, score_threshold, leaves_time)
    found = looked.found
    drops = view.drops(found.boxes_xyxy, height, width)
    others = [(reason, found.only(where)) for reason, where in drops.items()]
    counted = found.only(~np.any(list(drops.values()), axis=0)) if drops else found
    if view.empty is not None and len(counted):
        known = background(view.empty, decoded.pixels_rgb, counted.boxes_xyxy)
        others += [("background", counted.only(known))] if known.any() else []
        counted = counted.only(~known)
    return Survey(counted, tuple(others), area, looked.tiles, looked.left_out)


def given(boxes_xyxy: ArrayLike, decoded: DecodedImage) -> Survey:
    """Return boxes (N, 4) in pixels of the image as if they had been found, each with the score 1.

    Raises:
        OptionError: the boxes are refused; see `checked_boxes`.
    """
    boxes = boxes_to_look_at(boxes_xyxy, decoded)
    height, width = decoded.pixels_rgb.shape[:2]
    found = Detections(boxes, np.ones(len(boxes), np.float32), np.zeros(len(boxes), np.int32))
    return Survey(found, (), (0, 0, width, height), 0)
