"""Frame in, steady answer out: the order of what a stream does with each frame."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ClosedError, ImageError
from ..ranges import require_number
from ..results import Box, Dropped
from ..results.stream import EventKind, FrameCounts, LookReason, StreamAnswer, StreamEvent, Track, TrackState
from ..stages.decode import DecodedImage, Source
from ..stages.regions import in_original_pixels
from .announce import Announcer
from .cells import Cells, reduce
from .clock import SteadyClock
from .health import Health, Moved
from .options import StreamOptions
from .sight import Rules, Sight
from .tracks import Followed, Tracks

_LATEST_S = 1e15
"""Beyond any clock in seconds, and still exact to a tenth."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame at hand."""

    number: int
    at_s: float
    decoded: DecodedImage


class Stream:
    """Frames of one mounted camera, one after the other → tracks, events and a basket. Made by `Recognizer.stream`.

    A context manager. Safe from several threads: one frame is answered at a time, in the order in which they come.

    Attributes:
        basket: number of things of each announced label, after the last frame.
        tracks: the things that have appeared and not left, after the last frame.
        counts: what became of the frames until now.
    """

    def __init__(self, sight: Sight, options: StreamOptions, moved: Moved | None = None) -> None:
        """Put a stream together; most callers want `Recognizer.stream`."""
        self.basket: Mapping[str, int] = {}
        self.tracks: tuple[Track, ...] = ()
        self.counts = FrameCounts()
        self._sight = sight
        self._options = options
        self._clock = SteadyClock()
        self._health = Health(moved)
        self._announcer = Announcer(sight, options, self._tell)
        self._tracks: Tracks | None = None
        self._frame: _Frame | None = None
        self._events: list[StreamEvent] = []
        self._rules: Rules | None = None
        self._since_look_s = 0.0
        self._camera = self._health.state
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse further frames. The recognizer stays open."""
        self._closed = True

    def feed(self, image: Source, at_s: float | None = None) -> StreamAnswer:
        """Take the next frame, and return what has happened since the last one.

        Args:
            image: as in `recognize`; an array must not be written to until this returns.
            at_s: its time stamp in seconds, of any clock; `time.monotonic()` when None. A stamp that is not later than
                the last one counts as a usual step, a gap of over a second as one second.

        Raises:
            ImageError: the image cannot be used; the next one may be.
            OptionError: `at_s` is not a finite number.
            ClosedError: the stream or the recognizer is closed.
            GalleryError, EngineError, EmbeddingError: as by `recognize`. Events that were not returned come with the
                next answer.
        """
        with self._lock:
            if self._closed:
                raise ClosedError("the stream is closed")
            at_s = time.monotonic() if at_s is None else at_s
            require_number("at_s", at_s, -_LATEST_S, _LATEST_S)
            return self._answer(image, float(at_s), time.perf_counter_ns())

    def left_out(self, frames: int) -> None:
        """Count frames that were not fed because a newer one was there already."""
        with self._lock:
            self.counts = replace(self.counts, late=self.counts.late + frames)

    def _answer(self, image: Source, at_s: float, start_ns: int) -> StreamAnswer:
        number = self.counts.fed
        self.counts = replace(self.counts, fed=number + 1)
        try:
            decoded = self._sight.decode(image)
        except ImageError:
            self.counts = replace(self.counts, unreadable=self.counts.unreadable + 1)
            raise
        frame = self._frame = _Frame(number, at_s, decoded)
        step_s = self._clock.advance(at_s)
        cells = reduce(decoded.pixels_rgb)
        self._look_after_camera(frame, cells, step_s)
        reason: LookReason | None = None
        embedded, dropped = 0, tuple[Dropped, ...]()
        if self._camera in ("black", "moved"):
            self.counts = replace(self.counts, unusable=self.counts.unusable + 1)
        else:
            reason, embedded, dropped = self._follow(frame, cells, step_s)
        return self._answered(frame, reason, embedded, dropped, start_ns)

    def _look_after_camera(self, frame: _Frame, cells: Cells, step_s: float) -> None:
        before, self._camera = self._camera, self._health.see(frame.decoded.pixels_rgb, cells, step_s)
        if self._camera != before:
            self._tell("camera", None, None)

    def _follow(self, frame: _Frame, cells: Cells, step_s: float) -> tuple[LookReason | None, int, tuple[Dropped, ...]]:
        """Look at a frame as far as needed; return why, how many crops were embedded, and what is not followed."""
        first = self._tracks is None
        tracks = self._tracks = self._ready_for(frame, cells)
        tracks.see(cells, step_s)
        self._since_look_s += step_s
        reason = "first" if first else self._reason(tracks)
        if reason is None:
            self.counts = replace(self.counts, unchanged=self.counts.unchanged + 1)
            tracks.learn(step_s)
            return None, 0, ()
        rules = self._sight.rules()
        if self._rules is not None and rules.version != self._rules.version:
            self._announcer.reconsider(tracks, rules)
        self._rules, self._since_look_s = rules, 0.0
        found = self._sight.find(frame.decoded)
        doubles = tracks.locate(found, frame.at_s, rules.policy.suppression_iou)
        wanted = [one for one in tracks.all if self._announcer.wants_look(one, tracks)]
        if wanted:
            boxes = np.array([one.box_xyxy for one in wanted], np.float32)
            rows = self._sight.embed(frame.decoded, boxes)
            self._announcer.take(wanted, rows, tracks, frame.decoded, rules)
        self._let_go(tracks)
        tracks.learn(step_s)
        self.counts = replace(
            self.counts,
            detected=self.counts.detected + 1,
            embedded=self.counts.embedded + len(wanted),
            crowded=tracks.crowded,
        )
        shown = self._in_image([box for box, _ in doubles], frame)
        dropped = tuple(
            Dropped(box, "suppressed", None, None, score) for box, (_, score) in zip(shown, doubles, strict=True)
        )
        return reason, len(wanted), found.dropped + dropped

    def _ready_for(self, frame: _Frame, cells: Cells) -> Tracks:
        """Return the tracks, for frames of this size."""
        height, width = frame.decoded.pixels_rgb.shape[:2]
        if self._tracks is None:
            return Tracks(cells, (height, width), self._options.max_tracks)
        return self._tracks if self._tracks.fits(height, width) else self._tracks.resized(cells, (height, width))

    def _reason(self, tracks: Tracks) -> LookReason | None:
        if self._rules is None or self._sight.revisions() != self._rules.revisions:
            return "gallery"
        if tracks.motion.moving.any() or tracks.motion.changed.any():
            return "motion"
        if any(one.is_open for one in tracks.all):
            return "undecided"
        return "interval" if self._since_look_s >= self._options.look_every_s else None

    def _let_go(self, tracks: Tracks) -> None:
        for one in [one for one in tracks.all if one.appeared]:
            if tracks.gone(one, self._options.left_s, self._options.hidden_s):
                tracks.all.remove(one)
                self._tell("left", one, None)
                if not any(other.appeared for other in tracks.all):
                    self._tell("empty", None, None)

    def _tell(self, kind: EventKind, one: Followed | None, was: str | None) -> None:
        assert self._frame is not None, "events come from frames"
        track = None if one is None else self._shown(one)
        basket = self._counted()
        self._events.append(StreamEvent(kind, self._frame.at_s, self._frame.number, track, was, self._camera, basket))

    def _counted(self) -> dict[str, int]:
        things = self._tracks.all if self._tracks is not None else ()
        return dict(Counter(one.label for one in things if one.decision == "accepted" and one.label is not None))

    def _shown(self, one: Followed) -> Track:
        assert self._frame is not None, "things are found in frames"
        [box] = self._in_image([one.box_xyxy], self._frame)
        state: TrackState = "resting" if one.still else "moving"
        if one.sighting == "covered":
            state = "hidden"
        return Track(
            one.number,
            box,
            state,
            one.decision,
            one.label,
            one.probability,
            one.candidates,
            one.at_s,
            one.looks.here,
        )

    def _in_image(self, boxes: Sequence[NDArray[np.float32]], frame: _Frame) -> list[Box]:
        return in_original_pixels(np.array(boxes, np.float32).reshape(-1, 4), frame.decoded)

    def _answered(
        self,
        frame: _Frame,
        reason: LookReason | None,
        embedded: int,
        dropped: tuple[Dropped, ...],
        start_ns: int,
    ) -> StreamAnswer:
        things = [] if self._tracks is None else self._tracks.all
        appeared = sorted((one for one in things if one.appeared), key=lambda one: one.number)
        self.basket, self.tracks = self._counted(), tuple(map(self._shown, appeared))
        events, self._events = tuple(self._events), []
        settled = self._tracks is not None and self._tracks.settled
        width, height = frame.decoded.width, frame.decoded.height
        took_ms = (time.perf_counter_ns() - start_ns) / 1e6
        return StreamAnswer(
            frame.number,
            frame.at_s,
            events,
            self.basket,
            settled,
            self.tracks,
            dropped,
            self._camera,
            reason,
            embedded,
            self.counts,
            width,
            height,
            took_ms,
        )
