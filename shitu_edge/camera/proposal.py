"""The result of a calibration: a view, and what it is based on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..inputs.skipped import Skipped
from ..ranges import percent
from ..results import Box
from ..stages.view import View

SightingKind = Literal["object", "background", "ignored", "stray"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A box that was found in a frame.

    Attributes:
        frame: the number of the frame among those that were used, from 0.
        box_xyxy: as shares of the image's width and height, 0..1.
        score: of the detection.
        kind: `object`: something that was put down; `background`: the empty counter shows it too; `ignored`: it lies in
            a proposed zone; `stray`: nothing else was found near it in another frame.
    """

    frame: int
    box_xyxy: Box
    score: float
    kind: SightingKind


@dataclass(frozen=True, slots=True)
class CameraProposal:
    """A view for a mounted camera, and what it is based on.

    Attributes:
        view: with the empty counter.
        frames: number of frames it is based on.
        empty_frames: those of them that show the counter empty.
        width, height: of the frames in pixels.
        sightings: all boxes that were found in them.
        unsure: share of the empty counter that no frame shows without something on it, 0..1; it is left plain there.
        notes: sentences on what is unsure, and what to do about it.
        skipped: frames that were not used, and why.
    """

    view: View
    frames: int
    empty_frames: int
    width: int
    height: int
    sightings: tuple[Sighting, ...]
    unsure: float
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def sizes(self) -> str:
        """The view's sizes for people: `from 3.2% to 50%`, or empty if any size counts."""
        limits = (("from", self.view.min_size), ("to", self.view.max_size))
        return " ".join(f"{name} {percent(size)}" for name, size in limits if size)

    def count(self, kind: SightingKind) -> int:
        """Return the number of sightings of a kind."""
        return sum(one.kind == kind for one in self.sightings)

    def as_dict(self) -> dict[str, Any]:
        """Return what `json.dumps` takes, without the empty counter's pixels and single sightings."""
        view = self.view
        return {
            "region": view.region,
            "ignore": view.ignore,
            "min_size": view.min_size,
            "max_size": view.max_size,
            "tiles": view.tiles,
            "frames": self.frames,
            "empty_frames": self.empty_frames,
            "width": self.width,
            "height": self.height,
            "boxes": {kind: self.count(kind) for kind in get_args(SightingKind)},
            "unsure": self.unsure,
            "notes": self.notes,
            "skipped": [{"source": one.source, "reason": one.reason} for one in self.skipped],
        }
