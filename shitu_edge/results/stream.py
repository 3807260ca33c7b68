"""The answers of a stream of frames: tracks, events and the basket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from . import Box, Decision, Dropped, LabelCandidate

EventKind = Literal["appeared", "named", "unsure", "changed", "left", "empty", "camera"]
TrackState = Literal["moving", "resting", "hidden"]
CameraState = Literal["good", "black", "frozen", "blurred", "moved"]
LookReason = Literal["first", "motion", "undecided", "interval", "gallery"]


@dataclass(frozen=True, slots=True)
class Track:
    """One thing on the counter, followed from frame to frame.

    Attributes:
        track_id: number of the thing in its stream, from 1; never used again.
        box_xyxy: where it is, or was last seen if it is hidden.
        state: `moving`: something moves in its place; `resting`; `hidden`: it is not seen, and its place not empty.
        decision: as in `RecognizedItem`; None until there is evidence enough.
        label: the announced name, of an ambiguous thing the likeliest one; None for an undecided or unknown one.
        probability: that the label is right, 0..1, by all looks together; None without a label.
        candidates: the nearest labels, those that are possible first.
        appeared_s: time stamp of the frame in which it was first seen.
        looks: number of times that it was embedded since it came to rest at its place.
    """

    track_id: int
    box_xyxy: Box
    state: TrackState
    decision: Decision | None
    label: str | None
    probability: float | None
    candidates: tuple[LabelCandidate, ...]
    appeared_s: float
    looks: int


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """Something that happened on the counter.

    `appeared`: a thing has come to rest. `named`: it is one label, which is said once. `unsure`: time is up and it is
    `ambiguous` or `unknown`, see `track.decision`; a person may help. `changed`: another thing lies in its place, or
    its label was changed in the gallery. `left`: it is gone. `empty`: the last one is gone. `camera`: the camera's
    state has changed.

    Attributes:
        kind: see above.
        at_s: time stamp of the frame, as it was given.
        frame: number of the frame in its stream, from 0.
        track: the thing as it is after the event, of `left` as it was last; None for `empty` and `camera`.
        was: the label before `changed`; None if there was none.
        camera: the state of the camera.
        basket: number of things of each announced label that have not left, after the event.
    """

    kind: EventKind
    at_s: float
    frame: int
    track: Track | None
    was: str | None
    camera: CameraState
    basket: Mapping[str, int]

    @property
    def label(self) -> str | None:
        """The label of the track; None without a track or a label."""
        return None if self.track is None else self.track.label

    def as_dict(self) -> dict[str, Any]:
        """Return the event as values that `json.dumps` takes."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """What became of the frames of a stream until now.

    Attributes:
        fed: frames that the stream was given.
        detected: frames in which the detector looked for things.
        embedded: crops that were embedded.
        unchanged: frames that showed nothing new, and were not looked at.
        late: frames left out because a newer one was there already.
        unreadable: frames that could not be decoded.
        unusable: black frames, and those of a camera that has moved.
        crowded: boxes left out because the stream follows as many things as it may.
    """

    fed: int = 0
    detected: int = 0
    embedded: int = 0
    unchanged: int = 0
    late: int = 0
    unreadable: int = 0
    unusable: int = 0
    crowded: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """The answer to one frame.

    Attributes:
        frame: number of the frame in its stream, from 0.
        at_s: its time stamp in seconds, as it was given.
        events: what has happened since the frame before, in order.
        basket: number of things of each announced label that have not left.
        settled: nothing moves, and every thing is decided.
        tracks: things that have appeared and not left, in the order of their ids.
        dropped: boxes of this frame that are not followed, and why.
        camera: the state of the camera.
        look: why the detector looked at this frame; None if it did not.
        embedded: number of crops that were embedded.
        counts: what became of the frames until now.
        width, height: of the frame in pixels.
        total_ms: wall-clock milliseconds.
    """

    frame: int
    at_s: float
    events: tuple[StreamEvent, ...]
    basket: Mapping[str, int]
    settled: bool
    tracks: tuple[Track, ...]
    dropped: tuple[Dropped, ...]
    camera: CameraState
    look: LookReason | None
    embedded: int
    counts: FrameCounts
    width: int
    height: int
    total_ms: float

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as values that `json.dumps` takes."""
        return asdict(self)
