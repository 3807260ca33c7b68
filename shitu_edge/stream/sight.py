"""The parts of an open recognizer, as a stream asks them: for pixels, boxes, rows, neighbors and verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..bundle import DecisionPolicy
from ..calibration import Naming
from ..gallery import GallerySearch
from ..imaging.geometry import Boxes
from ..opening import Parts
from ..results import Dropped, Match
from ..stages.arguments import overridden
from ..stages.deadline import Clock
from ..stages.decide import Candidate, Verdict, asked_neighbors, is_doubtful, judge
from ..stages.decode import DecodedImage, DecodeLimits, Source, decode
from ..stages.regions import Regions, in_original_pixels
from ..stages.survey import survey
from ..stages.view import View
from .evidence import USUAL_SLOPE, Finding, Looks, bound, scaled
from .options import StreamOptions

_ONE_PERCENT = 0.01


@dataclass(frozen=True, slots=True)
class Found:
    """Boxes (N, 4) in decoded pixels, best first, with their scores (N,), and what does not count."""

    boxes_xyxy: Boxes
    scores: NDArray[np.float32]
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """How things get their names at present; `revisions` differ after every change of the gallery file."""

    policy: DecisionPolicy
    naming: Naming
    revisions: tuple[int, ...]

    @property
    def needed(self) -> float:
        """Score, or similarity without a calibrated one, from which a thing has a label."""
        least = self.naming.least_score
        return self.policy.similarity_threshold if least is None else least

    @property
    def version(self) -> tuple[object, ...]:
        """Differs where things may get other names."""
        return self.revisions, self.policy, self.naming.least_score, self.naming.looked

    @property
    def slope(self) -> float:
        """Log-likelihood per score."""
        found = self.naming.probability
        return USUAL_SLOPE if found is None else float(found.slopes[0])

    @property
    def enough(self) -> float:
        """Sum of log-likelihoods from which a thing has a label."""
        return bound(self.policy.max_false_accept or _ONE_PERCENT)


class Sight:
    """The parts of a recognizer, as a stream uses them."""

    def __init__(
        self,
        parts: Parts,
        gallery: GallerySearch,
        options: StreamOptions,
        view: View,
        limits: DecodeLimits,
        enough_side: int,
        require_open: Callable[[], None],
    ) -> None:
        """`require_open` raises if the recognizer is closed; the other arguments are its own and the stream's."""
        self._parts = parts
        self._gallery = gallery
        self._options = options
        self._view = view
        self._limits = limits
        self._enough_side = math.ceil(enough_side * view.zoom)
        self._require_open = require_open

    def decode(self, image: Source) -> DecodedImage:
        """Return the pixels of a frame; raises `ImageError`, and `ClosedError` if the recognizer is closed."""
        self._require_open()
        return decode(image, enough_side=self._enough_side, limits=self._limits)

    def find(self, decoded: DecodedImage) -> Found:
        """Return what the detector finds in the view."""
        seen = survey(self._parts.detector, decoded, self._view, self._options.detection_threshold)
        return Found(seen.found.boxes_xyxy, seen.found.scores, seen.dropped(decoded))

    def embed(self, decoded: DecodedImage, boxes_xyxy: Boxes) -> NDArray[np.float32]:
        """Return the unit rows (N, D) of boxes (N, 4) in decoded pixels."""
        return self._parts.extractor.embed(decoded.pixels_rgb, boxes_xyxy)

    def revisions(self) -> tuple[int, ...]:
        """Return the gallery's revision and that of its local layer; nothing of a gallery that is not a file."""
        layers = self._parts.layers
        return () if layers is None else layers.revisions

    def rules(self) -> Rules:
        """Return how things get their names at present."""
        revisions = self.revisions()
        stated = self._options.max_false_accept
        policy = overridden(self._parts.policy(), threshold=self._options.threshold, max_false_accept=stated)
        calibration = self._parts.calibration(policy, stated=stated is not None)
        return Rules(policy, self._parts.naming(calibration), revisions)

    def weigh(self, looks: Sequence[Looks], rules: Rules) -> list[Finding]:
        """Return what the looks at each thing say together, by one search for all of them."""
        if not looks:
            return []
        pooled = [one.pooled() for one in looks]
        rows = np.stack([row for row, _ in pooled])
        found = self._parts.search(self._gallery, rows, asked_neighbors(rules.policy)).matches
        return [
            self._finding(scaled(matches, factor), one, rules)
            for matches, (_, factor), one in zip(found, pooled, looks, strict=True)
        ]

    def shows_product(self, looks: Looks) -> bool:
        """Return whether the looks at a thing show a product, as far as the bundle can tell."""
        row, _ = looks.pooled()
        objectness = self._parts.objectness
        return objectness is None or bool(objectness.are_products(row[None])[0])

    def look_again(
        self, decoded: DecodedImage, box_xyxy: NDArray[np.float32], finding: Finding, looks: Looks, rules: Rules
    ) -> Finding:
        """Return a finding after a second look at a thing in doubt, if one can be taken; else the same."""
        ready = self._parts.look_state(rules.naming) == "ready"
        if not ready or not is_doubtful(finding.matches, rules.policy, rules.naming):
            return finding
        boxes = box_xyxy[None]
        seen = [Candidate(in_original_pixels(boxes, decoded)[0], 1.0, finding.matches)]
        chosen = Regions(boxes, (1.0,))
        looked = self._parts.look_again(self._gallery, seen, chosen, decoded, rules.policy, rules.naming, Clock(), None)
        return self._finding(looked.candidates[0].matches, looks, rules)

    def _finding(self, matches: tuple[Match, ...], looks: Looks, rules: Rules) -> Finding:
        verdict: Verdict = judge(matches, rules.policy, rules.naming)
        return Finding.of(matches, verdict, rules.needed, rules.slope, looks.effective, rules.enough)
