"""The second look at an image: boxes are looked at again, as many as there is time for; see `verify` for how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..calibration.support import MOST_PHOTOS, judged
from ..imaging.geometry import Boxes, Pixels
from ..imaging.local_features import LocalFeatures, find_features
from ..results import Match, SecondLook
from .deadline import Clock, Pace
from .decide import Candidate
from .decode import DecodedImage
from .extract import Extractor, crop
from .photo_features import PhotoFeatures
from .verify import MOST_TURNED, Looked, compare, evidence_of, photos_to_compare, turned

_WARM_MS = 40.0
_CAUTION = 1.25
"""Expected time of a wave that has to be left: it varies more than that of the network alone."""
_MOST_NEW = 8
"""Photos whose features may have to be found first, of 10 ms each."""

LookMode = Literal["auto", "off", "always"]
"""`auto` looks again where the score leaves a doubt, `always` at every box."""

Search = Callable[[NDArray[np.float32], int], Sequence[tuple[Match, ...]]]
"""Returns the `k` nearest items of each row (Q, D)."""


@dataclass(frozen=True, slots=True)
class Looks:
    """The objects of an image as `decide` takes them, with what a second look has found, and what was done."""

    candidates: Sequence[Candidate]
    done: SecondLook


class SecondLooks(Pace):
    """Looks at boxes again, as many as the deadline leaves time for. Safe from several threads."""

    def __init__(self, photos: PhotoFeatures, extractor: Extractor) -> None:
        super().__init__(_WARM_MS)
        self._photos = photos
        self._extractor = extractor

    def look(
        self,
        seen: Sequence[Candidate],
        boxes_xyxy: Boxes,
        doubts: Sequence[int],
        decoded: DecodedImage,
        search: Search,
        clock: Clock,
        deadline_ms: float | None,
    ) -> Looks:
        """Look again at some objects of an image; those that the deadline leaves no time for stay as they are.

        Args:
            seen: all objects.
            boxes_xyxy: their boxes (N, 4) in decoded pixels.
            doubts: numbers of those to look at, the ones that matter most first.
            decoded: the image.
            search: finds the nearest items.
            clock: of this call.
            deadline_ms: by when to be done, on the clock; None for no limit.

        Raises:
            GalleryError: the gallery cannot be read.
        """
        candidates = list(seen)
        done = 0
        while done < len(doubts):
            before = clock.elapsed_ms()
            count = self._how_many(len(doubts) - done, None if deadline_ms is None else deadline_ms - before)
            if not count:
                self.relax()
                break
            some = doubts[done : done + count]
            crops = [crop(decoded.pixels_rgb, boxes_xyxy[number]) for number in some]
            looks = self._looks(crops, [seen[number].matches for number in some], search)
            for number, look in zip(some, looks, strict=True):
                evidence = partial(evidence_of, look, boxes_xyxy[number], decoded.scale)
                matches = judged(seen[number].matches, look.matches)
                candidates[number] = replace(seen[number], matches=matches, evidence=evidence)
            done += len(some)
            waves = -(-len(some) // self._extractor.workers.count)
            self.follow((clock.elapsed_ms() - before) / waves)
        return Looks(candidates, SecondLook("ready", done, len(doubts) - done))

    def _how_many(self, doubts: int, left_ms: float | None) -> int:
        """Return how many objects to look at next: all if half of the time is enough, else a wave if there is time."""
        wave = self._extractor.workers.count
        if left_ms is None or -(-doubts // wave) * self.expected_ms <= left_ms / 2:
            return doubts
        return wave if _CAUTION * self.expected_ms <= left_ms else 0

    def prepare(self, item: int) -> None:
        """Find the features of an item that was just enrolled, so that no customer waits for it."""
        self._photos.of([item])

    def _looks(self, crops: list[Pixels], matches: Sequence[tuple[Match, ...]], search: Search) -> list[Looked]:
        features = list(self._extractor.workers.map(find_features, crops))
        looks = self._compared(features, [Looked(near, {}) for near in matches], matches, MOST_PHOTOS)
        unclear = [place for place, look in enumerate(looks) if len(features[place]) and not look.is_clear]
        rows = self._extractor.embed_crops([view for place in unclear for view in turned(crops[place])])
        near = iter(search(rows, MOST_TURNED) if len(rows) else ())
        views = [[*next(near), *next(near), *next(near)] for _ in unclear]
        for one in views:
            one.sort(key=lambda match: -match.similarity)
        again = self._compared(
            [features[place] for place in unclear], [looks[place] for place in unclear], views, 3 * MOST_TURNED
        )
        for place, look in zip(unclear, again, strict=True):
            looks[place] = look
        return looks

    def _compared(
        self, features: Sequence[LocalFeatures], looks: Sequence[Looked], near: Sequence[Sequence[Match]], most: int
    ) -> list[Looked]:
        """Compare each object that has features with the photos of the items near it, in parallel."""
        wanted = [
            photos_to_compare(some, look.agreements, most) if len(found) else []
            for found, some, look in zip(features, near, looks, strict=True)
        ]
        photos = self._photos.of(list(dict.fromkeys(item for some in wanted for item in some)), _MOST_NEW)
        theirs = [{item: photos[item] for item in some if item in photos} for some in wanted]
        return list(self._extractor.workers.map(compare, features, looks, theirs, near))
