"""Frames of a mounted camera, reduced, with what a detector finds in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ImageError, OptionError
from ..imaging.geometry import Boxes, Pixels
from ..imaging.reduced import reduced
from ..inputs.skipped import Skipped
from ..recognizer import Recognizer
from ..stages.decode import DecodedImage, Source, decode
from ..stages.empty_counter import EmptyCounter
from ..stages.original import path_of
from ..stages.view import View
from ..system.progress import Progress

_ASPECT = 0.02
"""By how much the aspect of frames of one camera may differ."""
_MOST_BOXES = 100


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame.

    Attributes:
        name: of its file, or its number.
        pixels_rgb: (h, w, 3) uint8 RGB in the size of an `EmptyCounter`.
        width, height: of the frame in pixels.
        boxes: (N, 4) as shares of its width and height, best first.
        scores: of the boxes (N,).
    """

    name: str
    pixels_rgb: Pixels
    width: int
    height: int
    boxes: Boxes
    scores: tuple[float, ...]


def see(
    recognizer: Recognizer, frames: Sequence[Source], progress: Progress = lambda done, total: None
) -> tuple[list[Seen], list[Skipped]]:
    """Read frames and find what they show; those that cannot be read or have another shape are skipped."""
    seen: list[Seen] = []
    skipped: list[Skipped] = []
    for number, frame in enumerate(frames):
        name = path_of(frame) or f"frame {number + 1}"
        try:
            one = _seen(recognizer, frame, name, seen[0] if seen else None)
        except ImageError as error:
            skipped.append(Skipped(name, str(error).removeprefix(f"{name}: ")))
        else:
            seen.append(one)
        progress(number + 1, len(frames))
    return seen, skipped


def _seen(recognizer: Recognizer, frame: Source, name: str, first: Seen | None) -> Seen:
    decoded = decode(frame, enough_side=2 * recognizer.enough_side)
    if first is None:
        small = _small(decoded)
    else:
        if abs(decoded.width * first.height / (decoded.height * first.width) - 1) > _ASPECT:
            raise ImageError(
                f"is {decoded.width} × {decoded.height}, another shape than {first.width} × {first.height}"
            )
        small = reduced(decoded.pixels_rgb, *first.pixels_rgb.shape[:2])
    found = recognizer.detect(decoded.pixels_rgb, max_boxes=_MOST_BOXES, view=View(tiles="auto"))
    height, width = decoded.pixels_rgb.shape[:2]
    boxes: Boxes = np.divide(found.boxes_xyxy, np.array([width, height] * 2, np.float32), dtype=np.float32)
    return Seen(name, small, decoded.width, decoded.height, boxes, tuple(map(float, found.scores)))


def _small(decoded: DecodedImage) -> Pixels:
    """Return a frame in the size of an `EmptyCounter`; raises `ImageError` if it cannot be one."""
    try:
        return EmptyCounter.of_pixels(decoded.pixels_rgb).pixels_rgb
    except OptionError as error:
        raise ImageError(f"is {decoded.width} × {decoded.height}, which is too small or too long") from error
