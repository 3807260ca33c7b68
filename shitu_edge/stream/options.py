"""Options of a stream."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import OptionError
from ..ranges import require_number, require_whole

_MOST_TRACKS = 500
_LONGEST_S = 3600.0


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How a stream looks and decides.

    Attributes:
        decide_s: seconds that a resting thing may stay undecided, 0..3600; then it is `ambiguous` or `unknown`.
        look_every_s: longest time in seconds between two looks of the detector, 0..3600; 0: at every frame.
        left_s: seconds for which a place must be seen empty, 0..3600; while something moves, up to four times as long.
        hidden_s: seconds after which a thing that stays hidden has left, 0..3600.
        max_tracks: most things to follow, 1..500; others are counted as `crowded`.
        detection_threshold: lowest score of a detection, 0..1; the bundle's when None.
        threshold: similarity -1..1 from which a thing has a label, as in `recognize`: instead of a calibrated score.
        max_false_accept: share of unknown objects that may get a name, 0..1, as in `recognize`; what the gallery or the
            bundle states when None.
    """

    decide_s: float = 1.0
    look_every_s: float = 1.0
    left_s: float = 0.5
    hidden_s: float = 30.0
    max_tracks: int = 64
    detection_threshold: float | None = None
    threshold: float | None = None
    max_false_accept: float | None = None

    def __post_init__(self) -> None:
        """Check the values; raises `OptionError`."""
        for name in ("decide_s", "look_every_s", "left_s", "hidden_s"):
            require_number(name, getattr(self, name), 0, _LONGEST_S)
        require_whole("max_tracks", self.max_tracks, 1, _MOST_TRACKS)
        for name in ("detection_threshold", "max_false_accept"):
            if getattr(self, name) is not None:
                require_number(name, getattr(self, name), 0, 1)
        if self.threshold is not None:
            require_number("threshold", self.threshold, -1, 1)
            if self.max_false_accept is not None:
                raise OptionError("expected either a threshold or max_false_accept, which derives one from the gallery")


DEFAULT_STREAM = StreamOptions()
