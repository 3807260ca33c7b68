"""Things followed from frame to frame: which box is which thing, what is hidden, and what is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..imaging.geometry import Boxes, iou, pair_boxes
from ..results import Decision, LabelCandidate
from .background import Background
from .cells import Cells, Mask, Motion, Place, grown
from .evidence import Looks
from .sight import Found

SAME_IOU = 0.4
"""From this overlap a box is the same thing as before."""
_STEADY_IOU = 0.7
"""A box that has moved less than this may be smoothed, and followed while something moves in it."""
_MOVING, _AS_BEFORE = 0.05, 0.85
"""Shares of a place's cells: more of them move if it moves, and at least so many look alike if it is as before."""
_COVERED = 0.3
"""Share of a box that another one covers, from which it is hidden where the bare counter is not known."""
_UNCOVERED = 2
"""Frames after the last motion in its place in which a hidden thing is looked for at once, not at the next interval."""
_FORGOTTEN = 2
"""Looks after which a box that never came to rest is forgotten."""
_SLOW = 4.0
"""How much longer a place must be seen empty while something moves, or if it was never seen bare."""

Sighting = Literal["seen", "covered", "empty"]


@dataclass(eq=False, slots=True)
class Followed:
    """One thing, from its first box on. `appeared`: it has come to rest and was announced.

    Attributes:
        number: of the thing; 0 until it has appeared.
        box_xyxy: (4,) in decoded pixels.
        home_xyxy: the box with which it was last looked at; None before.
        at_s: time stamp of the first frame.
        looks: its embeddings.
        rival: those of what lies in its place now, if that looks like another thing.
        cells: those of the frame of its last look.
        found: number of looks of the detector that found it.
        sighting: by the last look of the detector.
        still: frames since something last moved in its place.
        touched: something has moved in its place since its last look.
        waiting_s: how long it has rested undecided, or with a rival.
        empty_s, hidden_s: how long its place was seen empty, or it was hidden.
        lost: looks since the detector last found it.
        negative: it resembles an item that is no product, or has no name and looks like none, and is not announced.
        decision, label, probability, candidates: as announced, see `Track`.
        item_id: the gallery item of its label.
    """

    box_xyxy: NDArray[np.float32]
    at_s: float
    number: int = 0
    home_xyxy: NDArray[np.float32] | None = None
    looks: Looks = field(default_factory=Looks)
    rival: Looks | None = None
    cells: Cells | None = None
    found: int = 1
    sighting: Sighting = "seen"
    still: int = 0
    touched: bool = False
    waiting_s: float = 0.0
    empty_s: float = 0.0
    hidden_s: float = 0.0
    lost: int = 0
    negative: bool = False
    decision: Decision | None = None
    label: str | None = None
    item_id: int | None = None
    probability: float | None = None
    candidates: tuple[LabelCandidate, ...] = ()

    @property
    def appeared(self) -> bool:
        """Whether it has come to rest and was announced."""
        return self.number > 0

    @property
    def is_waiting(self) -> bool:
        """Whether more looks are to decide on it, or on what lies in its place."""
        return self.decision is None or self.rival is not None

    @property
    def is_open(self) -> bool:
        """Whether the next frame may tell more about it although nothing moves."""
        if not self.appeared:
            return not self.negative
        if self.sighting == "covered":
            return 0 < self.still <= _UNCOVERED
        return self.sighting == "empty" or self.is_waiting or (self.touched and self.still > 0)


class Tracks:
    """All things that are followed in frames of one size."""

    def __init__(self, cells: Cells, size: tuple[int, int], most: int) -> None:
        """Begin with the first frame.

        Args:
            cells: of the frame.
            size: its height and width in pixels.
            most: things to follow.
        """
        self.all: list[Followed] = []
        self.motion = Motion(cells)
        self.crowded = 0
        self._background = Background(cells)
        self._cells = cells
        self._size = size
        self._most = most

    def resized(self, cells: Cells, size: tuple[int, int]) -> Tracks:
        """Return the same things for frames of another size."""
        others = Tracks(cells, size, self._most)
        others.crowded = self.crowded
        factor = np.array([size[1] / self._size[1], size[0] / self._size[0]] * 2, np.float32)
        for one in self.all:
            one.box_xyxy = one.box_xyxy * factor
            one.cells = one.home_xyxy = None
        others.all = self.all
        return others

    def fits(self, height: int, width: int) -> bool:
        """Return whether frames have this size."""
        return self._size == (height, width)

    @property
    def settled(self) -> bool:
        """Whether nothing moves, and each thing is seen and decided."""
        moves = bool(self.motion.moving.any())
        return not moves and not any(one.is_open or one.sighting != "seen" for one in self.all)

    def see(self, cells: Cells, step_s: float) -> None:
        """Take the cells of the next frame, so many seconds after the last one."""
        self._cells = cells
        self.motion.see(cells)
        for one in self.all:
            moves = self._place(one).share(self.motion.moving) > _MOVING
            one.still = 0 if moves else one.still + 1
            one.touched = one.touched or moves
            if one.appeared and one.still and one.sighting == "seen" and one.is_waiting:
                one.waiting_s += step_s
            one.empty_s = one.empty_s + step_s if one.sighting == "empty" else 0.0
            one.hidden_s = one.hidden_s + step_s if one.sighting == "covered" else 0.0

    def learn(self, step_s: float) -> None:
        """Learn what the counter looks like where nothing lies, so many seconds after the last frame."""
        covered = [self._place(one, margin=1) for one in self.all]
        self._background.learn(self.motion, self._cells, covered, step_s)

    def locate(self, found: Found, at_s: float, suppression_iou: float) -> list[tuple[NDArray[np.float32], float]]:
        """Take what the detector found in the last frame; return boxes that cover a thing already, with their scores.

        Args:
            found: by the detector.
            at_s: time stamp of the frame.
            suppression_iou: overlap from which a box is not a further thing.
        """
        for one in self.all:
            if one.home_xyxy is not None and self.as_before(one):
                one.box_xyxy = one.home_xyxy
        known = self._pair([one for one in self.all if one.appeared], found.boxes_xyxy, set())
        known |= self._pair([one for one in self.all if not one.appeared], found.boxes_xyxy, known)
        self.all = [one for one in self.all if one.appeared or one.lost < _FORGOTTEN]
        doubles = []
        for number in range(len(found.scores)):
            box = found.boxes_xyxy[number]
            if number in known:
                continue
            there = _boxes([one for one in self.all if one.sighting == "seen"])
            if len(there) and iou(box, there).max() > suppression_iou:
                doubles.append((box, float(found.scores[number])))
            elif len(self.all) >= self._most:
                self.crowded += 1
            else:
                self.all.append(Followed(box, at_s))
        self.motion.looked()
        return doubles

    def as_before(self, one: Followed) -> bool:
        """Return whether a thing's place looks as it did when it was last looked at."""
        if one.cells is None or one.home_xyxy is None:
            return False
        place = Place.of(one.home_xyxy, self._size, self._cells.shape[:2])
        return float(self.motion.alike(one.cells, place).mean()) >= _AS_BEFORE

    def looked_at(self, one: Followed) -> None:
        """Remember what a thing's place looks like now."""
        one.cells, one.home_xyxy, one.touched = self._cells, one.box_xyxy, False

    def gone(self, one: Followed, left_s: float, hidden_s: float) -> bool:
        """Return whether a thing has left: its place was empty, or hidden, for so many seconds."""
        known = self._background.knows(self._place(one))
        slow = _SLOW if self.motion.moving.any() or not known else 1.0
        return one.empty_s > slow * left_s or one.hidden_s > hidden_s

    def is_reached(self, one: Followed) -> bool:
        """Return whether something lies between a thing and the frame's edge, as the arm of a hand that covers it."""
        foreign = self._background.foreign(self.motion)
        for other in self.all:
            place = self._place(other)
            foreign[place.rows, place.columns] = False
        reached = np.zeros_like(foreign)
        place = self._place(one, margin=1)
        reached[place.rows, place.columns] = foreign[place.rows, place.columns]
        count = 0
        while reached.sum() > count:
            count = int(reached.sum())
            reached = grown(reached) & foreign
        return bool(reached[[0, -1]].any() or reached[:, [0, -1]].any())

    def exchange(self, one: Followed, other: Followed) -> None:
        """Let two things take each other's place."""
        for name in ("box_xyxy", "home_xyxy", "sighting", "still", "touched", "cells", "lost", "empty_s", "hidden_s"):
            mine, others = getattr(one, name), getattr(other, name)
            setattr(one, name, others)
            setattr(other, name, mine)

    def overlap(self, one: Followed, other: Followed) -> float:
        """Return the IoU of two things' boxes."""
        return float(iou(one.box_xyxy, other.box_xyxy[None])[0])

    def _place(self, one: Followed, margin: int = 0) -> Place:
        return Place.of(one.box_xyxy, self._size, self._cells.shape[:2], margin)

    def _pair(self, things: Sequence[Followed], boxes: Boxes, known: set[int]) -> set[int]:
        """Find things in boxes that are not known yet; return the numbers of these boxes."""
        free = [number for number in range(len(boxes)) if number not in known]
        pairs = {thing: box for box, thing in pair_boxes(boxes[free], _boxes(things), SAME_IOU)}
        for number, one in enumerate(things):
            if number in pairs:
                self._found(one, boxes[free[pairs[number]]])
            else:
                self._not_found(one, boxes)
        return {free[box] for box in pairs.values()}

    def _found(self, one: Followed, box: NDArray[np.float32]) -> None:
        one.found += 1
        one.lost = 0
        one.sighting = "seen"
        same = float(iou(box, one.box_xyxy[None])[0])
        if one.still or same >= _STEADY_IOU or not one.appeared:
            one.box_xyxy = (box + one.box_xyxy) / np.float32(2) if one.still and same >= _STEADY_IOU else box

    def _not_found(self, one: Followed, boxes: Boxes) -> None:
        one.lost += 1
        if self.as_before(one):
            others = _boxes([other for other in self.all if other is not one and other.appeared and not other.lost])
            double = len(others) > 0 and float(iou(one.box_xyxy, others).max()) >= SAME_IOU
            one.sighting = "empty" if double else "seen"
            return
        place = self._place(one)
        if self._background.knows(place):
            left = self._background.has_left(self.motion, place, one.cells, self._covered_by(boxes))
        else:
            left = one.still > 0 and _covered(one.box_xyxy, boxes) < _COVERED
        one.sighting = "empty" if left else "covered"

    def _covered_by(self, boxes: Boxes) -> Mask:
        """Return the cells that boxes cover."""
        covered = np.zeros(self._cells.shape[:2], bool)
        for box in boxes:
            place = Place.of(box, self._size, self._cells.shape[:2])
            covered[place.rows, place.columns] = True
        return covered


def _boxes(things: Sequence[Followed]) -> Boxes:
    return np.array([one.box_xyxy for one in things], np.float32).reshape(-1, 4)


def _covered(box: NDArray[np.float32], others: Boxes) -> float:
    """Return the largest share of a box that another one covers."""
    if not len(others):
        return 0.0
    sides = np.minimum(others[:, 2:], box[2:]) - np.maximum(others[:, :2], box[:2])
    area = float(np.prod(box[2:] - box[:2]))
    return float(np.prod(np.maximum(sides, 0), axis=1).max() / max(area, 1e-6))
