"""Labeled boxes and the images that they lie in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...imaging.geometry import Boxes
from ...ranges import require_number
from ...results import Box
from ..skipped import Skipped

_FURTHEST = 1e6


@dataclass(frozen=True, slots=True)
class LabeledBox:
    """A thing in an image, in pixels or relative, and its label; None is an unknown object."""

    box_xyxy: Box
    label: str | None

    def __post_init__(self) -> None:
        """Check the box.

        Raises:
            OptionError: a side is not a number, or lies further out than any image reaches.
        """
        for side in self.box_xyxy:
            require_number("box", side, -_FURTHEST, _FURTHEST)


@dataclass(frozen=True, slots=True)
class LabeledPhoto:
    """An image, its name in the set, and its label, or all things that it shows.

    Attributes:
        label: of the one product that it shows, None if it has boxes.
        boxes: everything that it shows, None if it has a label.
        relative: the boxes are in shares of the image's width and height instead of pixels.
    """

    path: Path
    source: str
    label: str | None
    boxes: tuple[LabeledBox, ...] | None
    relative: bool = False

    def boxes_xyxy(self, width: int, height: int) -> Boxes:
        """Return the boxes (N, 4) in pixels of an image of this size."""
        boxes = np.array([thing.box_xyxy for thing in self.boxes or ()], np.float32).reshape(-1, 4)
        return boxes * np.array([width, height, width, height], np.float32) if self.relative else boxes


@dataclass(frozen=True, slots=True)
class Annotations:
    """Images with boxes, images that are not used and why, and assumptions, a line each."""

    photos: tuple[LabeledPhoto, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
