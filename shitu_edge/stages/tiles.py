"""Small objects: an image looked at as a whole and in overlapping tiles, each object found once.

A tile shows an object larger than a look at the whole does. Figures: `benchmarks/results/tiles.md`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..imaging.geometry import Boxes, Pixels, suppress
from ..results import Detections
from .deadline import LeavesTime
from .detect import Detector
from .view import AUTO_TILES, TileCount

Area = tuple[int, int, int, int]
"""`x1, y1, x2, y2` in whole pixels."""

_OVERLAP = 0.25
"""Share of a tile's side; an object that is at most as large lies whole in some tile."""
_EDGE = 0.01
"""Share of a tile's side: a box that comes as near to a seam is cut by it."""
_SAME_IOU = 0.4
_PART = 0.8
"""Share of a box's area inside another from which on it is a part of it."""
_SURER = 0.2
"""A part gives way to the larger box around it unless it scores more than this above it."""
_OBJECTS = 3
_APART = 0.2
_AS_SURE = 0.1
"""A larger box gives way to at least `_OBJECTS` inside it that share at most `_APART` of their areas and score at most
`_AS_SURE` less: it is a shelf or a crowd.
"""
_NOTHING = np.float32(1e-6)
"""Pixels: less than the area of a box."""
_SMALL = 0.25
AUTO_SCORE = 0.4
"""`auto` takes tiles if half of the boxes from this score are smaller than `_SMALL`."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found in an area.

    Attributes:
        found: boxes in pixels of the image, best first.
        tiles: the number of tiles, 1 for the area alone.
        left_out: those that the deadline left no time for.
    """

    found: Detections
    tiles: int = 1
    left_out: int = 0


def look(
    detector: Detector,
    pixels_rgb: Pixels,
    area: Area,
    tiles: TileCount,
    score_threshold: float | None,
    leaves_time: LeavesTime | None = None,
) -> Looked:
    """Detect objects in an area of pixels (H, W, 3) uint8 RGB: a run of the network for it, and one per tile.

    `leaves_time` ends it before a tile that would leave too little for what was found; None looks at all tiles.
    """
    least = detector.score_threshold if score_threshold is None else score_threshold
    before = time.perf_counter()
    if tiles != "auto":
        whole = _inside(detector, pixels_rgb, area, least)
    else:
        seen = _inside(detector, pixels_rgb, area, min(least, AUTO_SCORE))
        tiles = auto_tiles(seen.boxes_xyxy[seen.scores >= AUTO_SCORE], area)
        whole = seen.only(seen.scores >= least)
    if tiles == 1:
        return Looked(whole)
    layout, parts = list(lay(area, tiles, detector)), []
    count = len(whole)
    for tile in layout:
        run_ms, before = 1e3 * (time.perf_counter() - before), time.perf_counter()
        if leaves_time is not None and not leaves_time(run_ms, min(count, detector.max_boxes)):
            break
        parts.append(_uncut(_inside(detector, pixels_rgb, tile, least), tile, area))
        count += len(parts[-1])
    found = merge(whole, join(parts, layout), layout) if parts else whole
    return Looked(found, tiles, tiles - len(parts))


def auto_tiles(boxes_xyxy: Boxes, area: Area) -> int:
    """Return the number of tiles that `auto` takes for boxes (N, 4) with a score of `AUTO_SCORE` or more."""
    return AUTO_TILES if median_size(boxes_xyxy, area) < _SMALL else 1


def median_size(boxes_xyxy: Boxes, area: Area) -> float:
    """Return the median square root of boxes' areas (N, 4), as a share of the area's shorter side; 1 without boxes."""
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    shorter = min(area[2] - area[0], area[3] - area[1])
    return float(np.median(np.sqrt(sides.prod(axis=1)))) / shorter if len(boxes_xyxy) else 1.0


def join(parts: list[Detections], layout: list[Area]) -> Detections:
    """Return what tiles show, each without parts of an object that leaves it and that another tile shows whole.

    What a seam leaves of an object may be boxed as an object of its own, a little off the seam.

    Args:
        parts: what each tile shows, in pixels of the image, without boxes that a seam cuts.
        layout: the tiles; further ones were not looked at.
    """
    found, kept = _chained(parts), []
    for part, tile in zip(parts, layout, strict=False):
        leave = (found.boxes_xyxy[:, :2] < tile[:2]) | (found.boxes_xyxy[:, 2:] > tile[2:])
        around = found.only(np.array(leave.any(axis=1), bool))
        inside = _lie_in(part.boxes_xyxy, around.boxes_xyxy)
        holds = np.flatnonzero(inside.any(axis=0))
        crowds = _crowds(_lie_in(found.boxes_xyxy, around.boxes_xyxy[holds]), found, around.scores[holds])
        objects = holds[~crowds]
        kept.append(part.only(~_are_parts(inside[:, objects], part.scores, around.scores[objects])))
    return _chained(kept)


def merge(whole: Detections, tiled: Detections, layout: list[Area]) -> Detections:
    """Return what the whole area and its tiles show, each object once.

    - What is larger than the tiles' overlap may be whole in none of them, so the whole area decides. Boxes inside such
      a box are its parts unless they are much surer: a tile shows caps and prints as objects. A shelf or a crowd gives
      way to what it holds.
    - Of boxes in the same place the best stays.

    Args:
        whole, tiled: boxes in pixels of the image; `tiled` without those that a seam cuts.
        layout: the tiles.
    """
    inside = (_shared(tiled.boxes_xyxy, whole.boxes_xyxy) >= _PART) & _exceed(whole.boxes_xyxy, layout)
    crowds = _crowds(inside, tiled, whole.scores)
    parts = _are_parts(inside[:, ~crowds], tiled.scores, whole.scores[~crowds])
    found = _chained([whole.only(~crowds), tiled.only(~parts)])
    boxes = found.boxes_xyxy
    apart = found.class_ids[:, None].astype(np.float32) * (boxes.max(initial=0) + 1)  # each class by itself
    kept = suppress(boxes + apart, np.argsort(-found.scores, kind="stable"), _SAME_IOU)
    return Detections(boxes[kept], found.scores[kept], found.class_ids[kept])


def _chained(parts: list[Detections]) -> Detections:
    names = ("boxes_xyxy", "scores", "class_ids")
    return Detections(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def are_crowds(found: Detections) -> NDArray[np.bool_]:
    """Return which boxes (N,) hold three of the others or more, apart and about as sure: a shelf, a crowd."""
    return _crowds(_lie_in(found.boxes_xyxy, found.boxes_xyxy), found, found.scores)


def lay(area: Area, count: int, detector: Detector) -> Iterator[Area]:
    """Yield `count` tiles that cover an area, in the rows and columns that the detector's input distorts least."""
    x1, y1, x2, y2 = area
    grids = [(rows, count // rows) for rows in range(1, count + 1) if count % rows == 0]
    rows, columns = min(grids, key=lambda grid: detector.distortion(_side(y2 - y1, grid[0]), _side(x2 - x1, grid[1])))
    for top, bottom in _spans(y1, y2, rows):
        for left, right in _spans(x1, x2, columns):
            yield left, top, right, bottom


def _side(length: int, count: int) -> float:
    """Return the side of `count` overlapping tiles that cover a length."""
    return length / (count - (count - 1) * _OVERLAP)


def _spans(start: int, end: int, count: int) -> Iterator[tuple[int, int]]:
    side = _side(end - start, count)
    for number in range(count):
        first = start + number * side * (1 - _OVERLAP)
        yield int(first), max(int(first) + 1, min(end, round(first + side)))


def _uncut(found: Detections, tile: Area, area: Area) -> Detections:
    """Return the detections of a tile without those that a seam cuts: a side of the tile that is not one of the area.

    What is cut lies whole in the next tile or, if it is larger than the overlap, in the area.
    """
    cut = np.zeros(len(found), bool)
    for side in range(4):
        near = _EDGE * (tile[side % 2 + 2] - tile[side % 2])
        if tile[side] != area[side]:
            cut |= np.abs(found.boxes_xyxy[:, side] - tile[side]) <= near
    return found.only(~cut)


def _exceed(boxes: Boxes, layout: list[Area]) -> NDArray[np.bool_]:
    """Return which boxes (N, 4) are larger than the overlap of tiles, so that no tile is sure to hold them whole."""
    x1, y1, x2, y2 = layout[0]
    across, down = (len({tile[side] for tile in layout}) for side in (0, 1))
    room = np.array([_OVERLAP * (x2 - x1) if across > 1 else np.inf, _OVERLAP * (y2 - y1) if down > 1 else np.inf])
    exceed: NDArray[np.bool_] = np.any((boxes[:, 2:] - boxes[:, :2]) > room, axis=1)
    return exceed


def _are_parts(
    inside: NDArray[np.bool_], scores: NDArray[np.float32], around: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Return which boxes (N,) lie inside (N, M) one of the boxes around them, and are not much surer than it."""
    parts: NDArray[np.bool_] = np.any(inside & (scores[:, None] <= around + _SURER), axis=1)
    return parts


def _crowds(inside: NDArray[np.bool_], found: Detections, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which of M boxes with these scores are crowds of the N boxes inside them (N, M)."""
    return np.array([_is_crowd(found.only(ones), score) for ones, score in zip(inside.T, scores, strict=True)], bool)


def _lie_in(boxes: Boxes, others: Boxes) -> NDArray[np.bool_]:
    """Return which of N boxes lie inside which of M larger ones (N, M)."""
    areas, around = ((some[:, 2:] - some[:, :2]).prod(axis=1) for some in (boxes, others))
    inside: NDArray[np.bool_] = (_shared(boxes, others) >= _PART) & (areas[:, None] < around)
    return inside


def _is_crowd(inside: Detections, score: float) -> bool:
    """Return whether a box of this score holds several objects: those inside it that are apart and about as sure."""
    others = inside.only(inside.scores >= score - _AS_SURE)
    for _ in range(_OBJECTS):
        if not len(others):
            return False
        best = others.boxes_xyxy[[int(np.argmax(others.scores))]]
        shared = np.maximum(_shared(others.boxes_xyxy, best)[:, 0], _shared(best, others.boxes_xyxy)[0])
        others = others.only(shared <= _APART)
    return True


def _shared(boxes: Boxes, others: Boxes) -> NDArray[np.float32]:
    """Return the share (N, M) of the area of each of N boxes that lies inside each of M others."""
    first = np.maximum(boxes[:, None, :2], others[:, :2])
    last = np.minimum(boxes[:, None, 2:], others[:, 2:])
    own = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), _NOTHING)[:, None]
    shared: NDArray[np.float32] = np.maximum(last - first, 0).prod(axis=2) / own
    return shared


def _inside(detector: Detector, pixels_rgb: Pixels, area: Area, score_threshold: float) -> Detections:
    """Return what an area of an image shows, in pixels of the image."""
    x1, y1, x2, y2 = area
    found = detector.detect_all(pixels_rgb[y1:y2, x1:x2], score_threshold)
    moved = found.boxes_xyxy + np.array([x1, y1, x1, y1], np.float32)
    solid: NDArray[np.bool_] = np.all(moved[:, :2] < moved[:, 2:], axis=1)  # float32 may round a sliver to nothing
    return Detections(moved, found.scores, found.class_ids).only(solid)
