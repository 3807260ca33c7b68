"""A view for a mounted camera from its frames: the steps, and what is unsure about the result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from ..imaging.geometry import Boxes
from ..inputs.skipped import Skipped, summary
from ..ranges import percent, require_instance
from ..recognizer import Recognizer
from ..stages.background import background
from ..stages.decode import Source
from ..stages.empty_counter import EmptyCounter
from ..stages.moved import find_move
from ..stages.tiles import AUTO_SCORE
from ..stages.view import View
from ..system.progress import Progress
from .frames import Seen, see
from .layout import (
    FEWEST_OBJECTS,
    always_there,
    region_of,
    size_limits,
    sizes_of,
    supported,
    tiles_for,
    zone_around,
)
from .proposal import CameraProposal, Sighting, SightingKind
from .reference import in_one_light, median, piece_together

MOST_FRAMES = 200
"""Of more frames, so many are used, evenly chosen: they take 250 MB of memory."""
_FEWEST_FRAMES = 20
_ELSEWHERE = ("moved", "covered", "other_scene")
_MIXED = 5.0
"""Ratio of large to small objects (nine in ten lie between) from which on no size and no tiling suits all."""
_UNSURE = 0.02
_RESTING = (
    "Something lies in the same place in most frames and is not background: if it belongs to the counter, "
    "ignore it there; else record frames over a longer time."
)


def calibrate_camera(
    recognizer: Recognizer,
    frames: Iterable[Source],
    empty: Iterable[Source] = (),
    *,
    progress: Progress = lambda done, total: None,
) -> CameraProposal:
    """Propose a view for a mounted camera: the empty counter, the region, zones to ignore, sizes and tiles.

    Args:
        recognizer: open; its detector is used, its view is not.
        frames: images of the camera over time, such as 50 of a day: some empty, some with products or hands.
        empty: images of the camera with nothing on the counter; without any, the empty counter is pieced together from
            `frames`.
        progress: told how many frames are done, of how many.

    Raises:
        ImageError: no frame can be used.
        OptionError: the recognizer is none.
    """
    require_instance("recognizer", recognizer, Recognizer, "a Recognizer")
    given = list(frames)
    chosen = given if len(given) <= MOST_FRAMES else [given[n * len(given) // MOST_FRAMES] for n in range(MOST_FRAMES)]
    seen, skipped = see(recognizer, chosen, progress)
    if not seen:
        raise ImageError("; ".join(["no frame of the camera can be used", *summary(skipped)]))
    cleared, unread = see(recognizer, list(empty)[:MOST_FRAMES])
    usual = _usual(cleared or seen)
    kept, moved = _in_place(seen, usual)
    counter, unsure = (usual, 0.0) if cleared else _pieced_together(kept)
    proposal = _laid_out(kept, counter)
    notes = _notes(proposal, len(given) - len(chosen), len(moved), bool(cleared), unsure)
    return replace(proposal, unsure=unsure, notes=tuple(notes), skipped=(*skipped, *unread, *moved))


def _in_place(seen: Sequence[Seen], usual: EmptyCounter) -> tuple[list[Seen], list[Skipped]]:
    """Return the frames that show what is usual, and the others."""
    states = [find_move(usual, one.pixels_rgb).state for one in seen]
    kept = [one for one, state in zip(seen, states, strict=True) if state not in _ELSEWHERE]
    if not kept:
        raise ImageError("the frames have nothing in common: name frames of one mounted camera")
    why = {"moved": "the camera stood elsewhere", "covered": "the lens was covered, or it was dark"}
    others = [
        Skipped(one.name, why.get(state, "shows another scene"))
        for one, state in zip(seen, states, strict=True)
        if state in _ELSEWHERE
    ]
    return kept, others


def _usual(seen: Sequence[Seen]) -> EmptyCounter:
    """Return what most frames show."""
    levels = median(in_one_light([one.pixels_rgb for one in seen]))
    return EmptyCounter.of_pixels(np.rint(levels).astype(np.uint8))


def _pieced_together(seen: Sequence[Seen]) -> tuple[EmptyCounter, float]:
    """Return the empty counter of frames with things on it, and which share of it is unsure."""
    pixels_rgb, sure = piece_together([one.pixels_rgb for one in seen], [one.boxes for one in seen])
    return EmptyCounter.of_pixels(pixels_rgb), float(1 - sure.mean())


def _laid_out(seen: Sequence[Seen], counter: EmptyCounter) -> CameraProposal:
    """Return the view that what was seen asks for; notes are added later."""
    boxes = np.concatenate([one.boxes for one in seen])
    scores = np.array([score for one in seen for score in one.scores])
    numbers = np.repeat(np.arange(len(seen)), [len(one.boxes) for one in seen])
    known = np.concatenate([_known(one, counter) for one in seen])
    kinds = np.where(known, "background", "object").astype(object)
    changing, resting = _places(seen, boxes, numbers, ~known)
    for same in changing:
        kinds[same] = "ignored"
    put_down = kinds == "object"
    kinds[put_down] = np.where(supported(boxes[put_down], numbers[put_down]), "object", "stray")
    put_down = kinds == "object"
    zones = [zone_around(boxes[same]) for same in changing]
    height, width = seen[0].height, seen[0].width
    view = View(region_of(boxes[put_down]), ignore=zones, empty=counter)
    low, high = size_limits(sizes_of(boxes[put_down], view, height, width))
    tiles = tiles_for(boxes[put_down & (scores >= AUTO_SCORE)], view, height, width)
    view = replace(view, min_size=low, max_size=high, tiles=tiles)
    sightings = tuple(_sighting(*one) for one in zip(numbers.tolist(), boxes.tolist(), scores, kinds, strict=True))
    free = len(seen) - len(set(numbers[~known].tolist()))
    notes = (_RESTING,) if resting else ()
    return CameraProposal(view, len(seen), free, width, height, sightings, 0.0, notes)


def _known(one: Seen, counter: EmptyCounter) -> NDArray[np.bool_]:
    height, width = one.pixels_rgb.shape[:2]
    return background(counter, one.pixels_rgb, one.boxes * np.array([width, height] * 2, np.float32))


def _places(
    seen: Sequence[Seen], boxes: Boxes, numbers: NDArray[np.intp], asked: NDArray[np.bool_]
) -> tuple[list[NDArray[np.bool_]], list[NDArray[np.bool_]]]:
    """Return what changes and what rests in one place, as `always_there`, of the boxes that are asked for."""
    found = always_there(boxes[asked], numbers[asked], [one.pixels_rgb for one in seen])

    def among_all(same: NDArray[np.bool_]) -> NDArray[np.bool_]:
        which = np.zeros(len(boxes), bool)
        which[np.flatnonzero(asked)[same]] = True
        return which

    changing, resting = ([among_all(same) for same in some] for some in found)
    return changing, resting


def _sighting(frame: int, box: list[float], score: float, kind: SightingKind) -> Sighting:
    x1, y1, x2, y2 = box
    return Sighting(frame, (x1, y1, x2, y2), float(score), kind)


def _notes(found: CameraProposal, surplus: int, moved: int, cleared: bool, unsure: float) -> Iterator[str]:
    yield from found.notes
    if surplus:
        yield f"Only {found.frames + moved} frames were used, evenly chosen."
    if moved:
        yield f"{moved} of {found.frames + moved} frames do not show the counter as most do: was the camera moved?"
    if found.frames < _FEWEST_FRAMES:
        yield f"Few frames, {found.frames}: {_FEWEST_FRAMES} or more over a day are better."
    if not cleared and not found.empty_frames:
        yield "No frame shows the counter empty, so it was pieced together: look at the drawing, or name empty frames."
    if unsure > _UNSURE:
        yield f"{percent(unsure)} of the counter was never seen empty. Nothing is taken for background there."
    objects = found.count("object")
    if objects < FEWEST_OBJECTS:
        yield f"Few objects were seen, {objects}: no sizes are stated, and the region may be too small."
    if found.view.ignore:
        yield (
            f"Something that changes is found in {len(found.view.ignore)} places in most frames, such as a screen, "
            "and is ignored there: remove a zone where products are put."
        )
    if objects >= FEWEST_OBJECTS and (spread := _spread(found)) > _MIXED:
        yield f"Objects of very different sizes were seen, 1 to {spread:.0f}: compare numbers of tiles."


def _spread(found: CameraProposal) -> float:
    boxes = np.array([one.box_xyxy for one in found.sightings if one.kind == "object"], np.float32)
    low, high = np.quantile(sizes_of(boxes, View(), found.height, found.width), [0.05, 0.95])
    return float(high / max(low, 1e-6))
