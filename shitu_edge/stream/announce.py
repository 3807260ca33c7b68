"""From looks to announcements: when a thing has appeared, is named, and when its name may change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..results.stream import EventKind
from ..stages.decode import DecodedImage
from .evidence import ENOUGH_LOOKS, Finding, Looks
from .options import StreamOptions
from .sight import Rules, Sight
from .tracks import Followed, Tracks

_ONE_THING, _ONE_LABEL, _ANOTHER = 0.85, 0.6, 0.5
"""Cosines from which two looks show one thing, and one with its label, and below which they show two. Looks at one
product that was put down twice have 0.62 and more (median 0.85), those at different ones of the benchmark at most 0.81.
"""
_NEARER = 0.05
"""By which a look must resemble another thing more than the one in whose place it lies."""
_SAME_PLACE_IOU = 0.2
_TO_APPEAR, _RIVAL_LOOKS = 2, 2
"""Looks of the detector until a thing may appear, and embeddings until another thing may take its place."""
_LONGER = 4.0
"""How much longer than `decide_s` a hand may seem to rest on a thing."""
_SECOND_LOOKS = (2, 4, 8)
"""Embeddings at which an undecided thing gets a second look, as when its time is up."""

Tell = Callable[[EventKind, Followed, str | None], None]
"""Takes an event: its kind, the thing, and the label before."""


class Announcer:
    """Decides on things by their looks, and tells what is to be announced."""

    def __init__(self, sight: Sight, options: StreamOptions, tell: Tell) -> None:
        """Take what sees, how long things may stay undecided, and what is called for each event."""
        self._sight = sight
        self._options = options
        self._tell = tell
        self._number = 0

    def wants_look(self, one: Followed, tracks: Tracks) -> bool:
        """Return whether a thing has to be embedded in this frame."""
        if one.sighting != "seen" or not one.still or one.lost:
            return False
        if not one.appeared:
            return one.found >= _TO_APPEAR and not (one.negative and tracks.as_before(one))
        if one.is_waiting or not tracks.as_before(one):
            return True
        one.touched = False
        return False

    def take(
        self, looked: Sequence[Followed], rows: NDArray[np.float32], tracks: Tracks, decoded: DecodedImage, rules: Rules
    ) -> None:
        """Take the unit rows (N, D) of N things, and announce what follows."""
        exchanged: list[Followed] = []
        for one, row in zip(looked, rows, strict=True):
            if one not in exchanged:
                exchanged += self._add(one, row, tracks)
        asked = [one for one in looked if one not in exchanged]
        findings = self._sight.weigh([one.rival or one.looks for one in asked], rules)
        for one, found in zip(asked, findings, strict=True):
            looks, finding = one.rival or one.looks, found
            due = looks.here in _SECOND_LOOKS or self._time_is_up(one)
            if due and found.decision(looks.here, time_is_up=False) is None:
                finding = self._sight.look_again(decoded, one.box_xyxy, found, looks, rules)
            tracks.looked_at(one)
            self._judge(one, finding, looks, tracks)

    def reconsider(self, tracks: Tracks, rules: Rules) -> None:
        """Announce what a change of the gallery changes about things that are decided; look again at the others."""
        for one in tracks.all:
            one.negative = False
        decided = [one for one in tracks.all if one.decision is not None and one.rival is None]
        for one, finding in zip(decided, self._sight.weigh([one.looks for one in decided], rules), strict=True):
            labels = {match.item_id: match.label for match in finding.matches}
            if one.decision == "accepted" and one.label in labels.values():
                continue
            renamed = labels.get(one.item_id) if one.decision == "accepted" and one.item_id is not None else None
            self._settle(one, finding, one.looks, renamed)

    def _add(self, one: Followed, row: NDArray[np.float32], tracks: Tracks) -> list[Followed]:
        """Take a unit row of a thing; return the things that have changed places by it."""
        if one.negative:  # its place has changed
            one.looks, one.negative = Looks(), False
        if one.decision is None:
            if one.looks.here and one.looks.likeness(row) < _ANOTHER:
                one.looks = Looks()
            elif one.looks.here and not one.looks.is_same(row):
                one.looks.turn()
            one.looks.add(row)
        elif one.looks.is_same(row):
            one.rival, one.waiting_s = None, 0.0
            one.looks.add(row)
        elif other := self._exchanged(one, row, tracks):
            return [one, other]
        else:
            if one.rival is None:
                one.rival, one.waiting_s = Looks(), 0.0
            elif one.rival.likeness(row) < _ANOTHER:
                one.rival = Looks()
            one.rival.add(row)
        return []

    def _exchanged(self, one: Followed, row: NDArray[np.float32], tracks: Tracks) -> Followed | None:
        """Let two things change places if what lies in one's place looks like the other; return the other."""
        likeness = max(_ONE_THING, one.looks.likeness(row) + _NEARER)
        for other in tracks.all:
            if other is one or not other.appeared or other.decision is None:
                continue
            elsewhere = not tracks.as_before(other) and (other.lost or other.still)
            if elsewhere and other.looks.likeness(row) >= likeness:
                tracks.exchange(one, other)
                tracks.looked_at(other)
                one.rival = one.cells = None
                one.touched = True
                return other
        return None

    def _judge(self, one: Followed, finding: Finding, looks: Looks, tracks: Tracks) -> None:
        if not one.appeared:
            one.negative = finding.verdict.negative
            if finding.verdict.decision == "unknown" and not self._sight.shows_product(looks):
                one.negative = one.negative or looks.here >= ENOUGH_LOOKS
                return
            if one.negative:
                return
            if self._is_moved(one, finding, tracks):
                return
            self._number += 1
            one.number = self._number
            self._tell("appeared", one, None)
        if one.rival is not None:
            self._judge_rival(one, finding, looks, tracks)
        elif one.decision != "accepted":
            time_is_up = self._time_is_up(one) or one.decision is not None
            if finding.decision(looks.here, time_is_up=time_is_up) is not None:
                self._settle(one, finding, looks, None)

    def _time_is_up(self, one: Followed) -> bool:
        return one.waiting_s >= self._options.decide_s

    def _is_moved(self, one: Followed, finding: Finding, tracks: Tracks) -> bool:
        """Let a thing that is not where it was take the place of a new one that is the same; say if one did.

        Its place is seen empty, or lies there in part. The same: looks like it and, if it is named, has its label.
        """
        row, _ = one.looks.pooled()
        for other in tracks.all:
            if not other.appeared or not other.lost or other.sighting == "seen":
                continue
            near = tracks.overlap(one, other) >= _SAME_PLACE_IOU
            if not near and other.sighting != "empty":
                continue
            named = other.decision == "accepted"
            if named and finding.verdict.label != other.label:
                continue
            if other.looks.likeness(row) >= (_ONE_LABEL if named or near else _ONE_THING):
                tracks.exchange(one, other)
                tracks.all.remove(one)
                tracks.looked_at(other)
                other.looks.turn()
                other.looks.add(row)
                return True
        return False

    def _judge_rival(self, one: Followed, finding: Finding, looks: Looks, tracks: Tracks) -> None:
        """Decide whether what lies in a decided thing's place, and looks like another one, is another one.

        A hand that rests on the thing looks like another one as well, but reaches there from the frame's edge.
        """
        decision = finding.decision(looks.here, time_is_up=self._time_is_up(one))
        if decision is None or looks.here < _RIVAL_LOOKS:
            return
        row, _ = looks.pooled()
        if decision != "accepted" and one.decision == "accepted":
            if one.looks.likeness(row) >= _ANOTHER:
                one.rival, one.waiting_s = None, 0.0
                return
            if one.waiting_s < _LONGER * self._options.decide_s and tracks.is_reached(one):
                return
        one.rival, one.waiting_s, one.looks = None, 0.0, looks
        self._settle(one, finding, looks, None)

    def _settle(self, one: Followed, finding: Finding, looks: Looks, renamed: str | None) -> None:
        """Take a decision over, and announce it if it is news."""
        before, was = one.decision, one.label
        decision = finding.decision(looks.here, time_is_up=True) if renamed is None else "accepted"
        first = finding.first
        one.decision = decision
        one.candidates = finding.verdict.candidates
        one.label = renamed or (first.label if first and decision != "unknown" else None)
        one.item_id = one.item_id if renamed else first.item_id if first else None
        one.probability = first.probability if first and decision != "unknown" else None
        if before == "accepted":
            if (decision, one.label) != (before, was):
                self._tell("changed", one, was)
        elif decision == "accepted":
            self._tell("named", one, was)
        elif before is None:
            self._tell("unsure", one, None)
