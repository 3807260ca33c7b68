"""A gallery's calibration, kept up to date while the gallery changes."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..bundle import Target
from ..errors import DamagedError, OptionError
from ..gallery import Gallery
from ..gallery.layers import Layers
from ..ranges import percent
from ..results import Calibration, CalibrationState
from . import derive
from .derive import CHANGED, Derived, GalleryScores
from .leave_out import Rows
from .looks import Photos, look_pays
from .naming import Naming
from .probability import Probability, fit_probability
from .samples import Samples
from .stored import Queries, Stored, read_stored
from .threshold import FEWEST_PRODUCTS, Kind, foreign_threshold, misnamed_share, threshold_for

_log = logging.getLogger(__name__)

_FEWEST_OWN = 5
"""Products from which a gallery with foreign ones to compare is `thin` rather than `uncalibrated`."""
_HIGHEST_USEFUL = 0.97
"""Threshold from which hardly more than the enrolled photos themselves would be named."""
_MOST_TARGETS = 64
_NICEST = 19


@dataclass(frozen=True, slots=True)
class _Threshold:
    """A threshold, and whether it is for scores after a second look."""

    score: float
    looked: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """Scores of a state of the layers, and results computed from them.

    `supported_rate` is the lowest rate of false accepts that the products can tell; `supported_wrong` that of wrong
    labels, which products with another photo have to tell as well. `looks` are the scores after a second look, if they
    were derived: without those of the labeled queries, which have no pictures.
    """

    revisions: tuple[int, ...]
    items: int
    queries: Queries | None
    samples: Samples
    looks: Samples | None = None
    thresholds: dict[tuple[Target, Kind], _Threshold | OptionError] = field(default_factory=dict)
    probabilities: dict[tuple[float, bool], Probability | None] = field(default_factory=dict)
    products: int = field(init=False)
    impostors: int = field(init=False)
    supported_rate: float = field(init=False)
    supported_wrong: float = field(init=False)

    def __post_init__(self) -> None:
        """Count once what each image asks for."""
        samples = self.scores(looked=self.looks is not None)
        unknown, known = samples.unknown, samples.known
        object.__setattr__(self, "products", unknown.count)
        object.__setattr__(self, "impostors", self.samples.impostors.count)
        object.__setattr__(self, "supported_rate", unknown.supported_rate)
        object.__setattr__(self, "supported_wrong", max(unknown.supported_rate, known.supported_rate))

    def scores(self, *, looked: bool) -> Samples:
        """Return the scores after a second look, or without one."""
        return self.looks if looked and self.looks is not None else self.samples

    @property
    def query_count(self) -> int:
        return 0 if self.queries is None else len(self.queries.labels)


class Calibrator:
    """Says from which score a gallery names a product. Safe from several threads.

    The scores are derived from the gallery's items and the labeled queries it keeps, in the background when there are
    many items; when a tenth of the items or the queries have changed, they are derived again. With fewer than 20
    products, the bundle's cohort stands for unknown objects. Without one, and until there are scores, there is no
    threshold, and the bundle's similarity threshold decides. The scores are kept in the cache folder by what they were
    derived from, so a restart, a rollback or a copy of the gallery finds them.
    """

    def __init__(
        self,
        gallery: Gallery | Layers,
        cache: Path | None,
        cohort: Rows | None = None,
        precision: str | None = None,
        queries: Queries | None = None,
        photos: Photos | None = None,
    ) -> None:
        """Begin without scores.

        Args:
            gallery: alone or with a local layer; stays the caller's to close, after this. Both layers' items count,
                and the settings of the central one.
            cache: folder; None for no cache.
            cohort: unit rows (C, D) of foreign products, embedded by the gallery's extractor.
            precision: of the extractor that embeds what is recognized; labeled queries of another one are not used.
                None: those of any.
            queries: in place of those that the gallery keeps.
            photos: for scores after a second look; None: it is not taken.
        """
        self._gallery = Layers(gallery) if isinstance(gallery, Gallery) else gallery
        self._scores = GalleryScores(self._gallery, None if cache is None else cache / "calibration", cohort)
        self._precision = precision
        self._queries = queries
        self._photos = photos
        self._looks: Derived | None = None
        self._tried: tuple[int, ...] = ()
        """Revisions whose scores after a second look were derived, or could not be."""
        self._starting = threading.Lock()
        self._updating = threading.Lock()
        self._known: _Known | None = None
        nothing: tuple[int, ...] = ()
        self._seen = self._failed = self._looked = nothing
        """Revisions that `_known` serves, that could not be calibrated, that were looked for in the cache."""
        self._changed = nothing, False
        """Revisions, and whether a tenth has changed up to them."""
        self._refused: tuple[tuple[int, ...], Target] | None = None
        """Revisions and a target that was refused, which was said."""
        self._stored = nothing, Stored()
        """Revisions, and what the gallery keeps in them."""
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def stored(self) -> Stored:
        """Return the target, the queries and the look-alikes that the gallery keeps.

        What another version has written, and is not understood, is left out with a warning. So are labels that the
        gallery no longer has: nobody is asked about them.
        """
        revisions = self._gallery.revisions
        if self._stored[0] != revisions:
            try:
                found = read_stored(self._gallery.settings(), self._gallery.meta.dim)
            except DamagedError as error:
                found = Stored(faults=(str(error),))
            for fault in found.faults:
                _log.warning("%s: %s", self._gallery, fault)
            if found.look_alikes:
                found = replace(found, look_alikes=_among(found.look_alikes, self._gallery.labels()))
            self._stored = revisions, found
        return self._stored[1]

    def at(self, target: Target, *, wait: bool = False) -> Calibration:
        """Return the calibration for a target; without `wait`, what there is now.

        Args:
            target: what the threshold has to keep.
            wait: until it is that of the present revision.

        Raises:
            OptionError: the products are too few for this rate at this confidence.
            GalleryError: the gallery cannot be read.
        """
        return self._judged(target, "unknown", wait)

    def kept_at(self, target: Target, *, wait: bool = False) -> Calibration:
        """Return the calibration for a target that is kept; if it is refused, a best estimate, `thin`, with a warning.

        Products that are removed must not stop a till. Raises `GalleryError` if the gallery cannot be read.
        """
        try:
            return self.at(target, wait=wait)
        except OptionError as error:
            if self._refused != (self._seen, target):
                self._refused = self._seen, target
                _log.warning("%s: %s; until then it is estimated", self._gallery, error)
            estimate = Target(max_false_accept=target.rate, unknown_share=target.unknown_share)
            return replace(self.at(estimate), state="thin")

    def at_verification(self, target: Target) -> Calibration:
        """Return the calibration for whether an object has a given label: at its rate, other products are accepted.

        It is a best estimate, whatever the confidence. Raises `GalleryError` if the gallery cannot be read.
        """
        return self._judged(target, "impostors", False)

    def effect(self, calibration: Calibration) -> tuple[float, float] | None:
        """Return the shares of enrolled products that the threshold names right and wrong, as the gallery knows.

        None without a threshold, or if no label has a second photo.
        """
        if self._known is None or calibration.threshold is None:
            return None
        known = self._known.scores(looked=calibration.looked).known
        if not known.count:
            return None
        return known.named_right(calibration.threshold), misnamed_share(known, calibration.threshold)

    @property
    def has_looked(self) -> bool:
        """Whether scores after a second look are known. A threshold uses them unless they name fewer products."""
        return self._known is not None and self._known.looks is not None

    @property
    def is_looking(self) -> bool:
        """Whether scores after a second look have yet to be derived."""
        return self._photos is not None and not self.has_looked and self._tried != self._gallery.revisions

    def naming(self, calibration: Calibration | None) -> Naming:
        """Return how objects get their names by a calibration; by the similarity without one."""
        look_alikes = self.stored().look_alikes
        if calibration is None or calibration.threshold is None:
            return Naming(None, None, look_alikes)
        probability = self._probability(calibration.unknown_share, calibration.looked)
        return Naming(calibration.threshold, probability, look_alikes, calibration.looked)

    def _judged(self, target: Target, kind: Kind, wait: bool) -> Calibration:
        revisions = self._gallery.revisions
        self._follow(revisions, wait)
        known = self._known
        none = Calibration(
            "uncalibrated", target.max_false_accept, target.confidence, None, 0, revisions[0],
            target.max_wrong, target.unknown_share,
        )  # fmt: skip
        if known is None:
            return none
        basis = replace(none, products=known.products, revision=known.revisions[0], queries=known.query_count)
        few = known.impostors if kind == "impostors" else known.products
        if not known.products or (kind == "impostors" and few < FEWEST_PRODUCTS):
            return basis
        if few < FEWEST_PRODUCTS and target.confidence is None:
            return self._fallback(basis, known.samples)
        threshold = self._threshold(known, target, kind)
        stale = revisions != self._seen and self._is_changed(known, revisions)
        supported = known.supported_rate if target.max_wrong is None else known.supported_wrong
        thin = target.confidence is None and target.rate < supported
        state: CalibrationState = "stale" if stale else "thin" if thin else "calibrated"
        return replace(basis, state=state, threshold=threshold.score, looked=threshold.looked)

    def _fallback(self, basis: Calibration, samples: Samples) -> Calibration:
        """Return the calibration of a gallery with few products: by the bundle's foreign ones, if it has any."""
        foreign = samples.foreign
        if not len(foreign):
            return basis
        state: CalibrationState = "thin" if basis.products >= _FEWEST_OWN else "uncalibrated"
        rate = basis.max_wrong if basis.max_false_accept is None else basis.max_false_accept
        assert rate is not None
        return replace(basis, state=state, threshold=foreign_threshold(foreign, rate), foreign=len(foreign))

    def _threshold(self, known: _Known, target: Target, kind: Kind) -> _Threshold:
        found = known.thresholds.get((target, kind))
        if found is None:
            try:
                found = _derived_threshold(known, target, kind)
                if kind == "unknown":
                    self._warn_of(found.score, target)
            except OptionError as error:
                found = error
            if len(known.thresholds) >= _MOST_TARGETS:
                known.thresholds.clear()
            known.thresholds[target, kind] = found
        if isinstance(found, OptionError):
            raise copy(found)  # one that is raised again and again would collect tracebacks
        return found

    def _probability(self, unknown_share: float, looked: bool) -> Probability | None:
        known = self._known
        if known is None:
            return None
        try:
            return known.probabilities[unknown_share, looked]
        except KeyError:  # not asked for yet, or cleared by another thread
            found = fit_probability(known.scores(looked=looked), unknown_share)
        if len(known.probabilities) >= _MOST_TARGETS:
            known.probabilities.clear()
        known.probabilities[unknown_share, looked] = found
        return found

    def _is_changed(self, known: _Known, revisions: tuple[int, ...]) -> bool:
        if self._changed[0] != revisions:
            self._changed = revisions, self._has_changed(known)
        return self._changed[1]

    def _warn_of(self, threshold: float, target: Target) -> None:
        if threshold > _HIGHEST_USEFUL:
            _log.warning(
                "%s: nearly every object will be unknown: %s false accepts need a score of %.3f, and scores end "
                "at 1; merge what `gallery audit` shows under two labels, or allow more false accepts",
                self._gallery,
                percent(target.rate),
                threshold,
            )

    def close(self) -> None:
        """End the thread, within a block of its work."""
        with self._starting:
            self._closing.set()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _follow(self, revisions: tuple[int, ...], wait: bool) -> None:
        """Have the scores follow the gallery: at once if that is quick or waited for, else in the background."""
        if revisions == self._seen:
            if self.is_looking and wait:
                self._look(lambda: None)
            elif self.is_looking:
                self._begin()
            return
        if wait or (self._known is None and (len(self._gallery) <= derive.AT_ONCE or self._is_cached(revisions))):
            self._update(lambda: None)
            if wait and self.is_looking:
                self._look(lambda: None)
        elif revisions != self._failed:
            self._begin()

    def _is_cached(self, revisions: tuple[int, ...]) -> bool:
        """Return whether the cache has scores that serve these revisions; looks once."""
        if self._looked == revisions:
            return False
        self._looked = revisions
        return self._scores.are_cached(self._usable_queries())

    def _begin(self) -> None:
        with self._starting:
            if self._closing.is_set() or (self._thread is not None and self._thread.is_alive()):
                return
            self._thread = threading.Thread(target=self._in_background, name="shitu-calibration", daemon=True)
            self._thread.start()

    def _in_background(self) -> None:
        _lower_priority()
        begun = time.perf_counter()

        def pause() -> None:
            """Leave the processors to others for as long as the last block took."""
            nonlocal begun
            if self._closing.wait(time.perf_counter() - begun):
                raise _ClosedError
            begun = time.perf_counter()

        revisions: tuple[int, ...] = ()
        try:
            revisions = self._gallery.revisions
            self._update(pause)
            if self.is_looking:
                self._look(pause)
        except _ClosedError:
            pass
        except Exception as error:  # in a thread, nobody else would see it
            if not self._closing.is_set():
                _log.warning("%s: cannot be calibrated: %s", self._gallery, error)
            self._failed = self._tried = revisions  # or every image would try again

    def _update(self, pause: Callable[[], None]) -> None:
        with self._updating:
            if self._gallery.revisions == self._seen:  # by another thread, while this one waited
                return
            known = self._known
            newest = self._gallery.state().revisions
            if known is None or len(self._gallery) <= derive.AT_ONCE or self._has_changed(known):
                found = self._scores.read(self._usable_queries, pause)
                known = _Known(found.revisions, found.items, found.queries, found.samples)
                newest = known.revisions
                known = self._with_looks(known)
                _log.info("%s: calibrated with %d products", self._gallery, known.samples.unknown.count)
            self._known, self._seen = known, newest

    def _look(self, pause: Callable[[], None]) -> None:
        """Derive the scores after a second look."""
        assert self._photos is not None
        with self._updating:
            revisions = self._gallery.revisions
            if self._known is None or not self.is_looking:  # or another thread has done it
                return
            self._looks = self._scores.read_looks(self._photos, pause, derive=True)
            self._known = self._with_looks(self._known)
            self._tried = revisions
            _log.info("%s: second look %s", self._gallery, "calibrated" if self.has_looked else "not possible")

    def _with_looks(self, known: _Known) -> _Known:
        """Return scores with those after a second look in their place, if there are any of about this content."""
        if self._photos is None:
            return known
        if self._looks is None:
            self._looks = self._scores.read_looks(self._photos, lambda: None, derive=False)
        looks = self._looks
        if looks is None or self._gallery.changed_since(looks.revisions) > CHANGED * max(1, looks.items):
            return known
        samples = replace(known.samples, unknown=looks.samples.unknown, known=looks.samples.known)
        return _Known(known.revisions, known.items, known.queries, known.samples, samples)

    def _has_changed(self, known: _Known) -> bool:
        changed = self._gallery.changed_since(known.revisions)
        return changed >= CHANGED * max(1, known.items) or self._queries_changed(known)

    def _queries_changed(self, known: _Known) -> bool:
        before, now = known.queries, self._usable_queries()
        if before is None or now is None:
            return before is not now
        return before.labels != now.labels or not np.array_equal(before.rows, now.rows)

    def _usable_queries(self) -> Queries | None:
        """Return the labeled queries, unless the extractor runs in another precision than they were embedded in."""
        queries = self._queries or self.stored().queries
        fits = queries is not None and self._precision in (None, queries.precision)
        return queries if fits else None


def _derived_threshold(known: _Known, target: Target, kind: Kind) -> _Threshold:
    """Return the threshold for a target: after a second look, unless that names fewer of the gallery's own products.

    It keeps the target for objects that no second look is taken at, too. Raises `OptionError`: too few products.
    """
    alone = threshold_for(known.samples, target, kind)
    if known.looks is None or kind == "impostors":
        return _Threshold(alone, looked=False)
    looked = max(alone, threshold_for(known.looks, target, kind))
    pays = look_pays(known.samples.known, alone, known.looks.known, looked)
    return _Threshold(looked, looked=True) if pays else _Threshold(alone, looked=False)


def _among(look_alikes: Mapping[str, frozenset[str]], labels: Collection[str]) -> dict[str, frozenset[str]]:
    """Return those look-alikes that the gallery has."""
    left = {label: group.intersection(labels) for label, group in look_alikes.items() if label in labels}
    return {label: group for label, group in left.items() if len(group) > 1}


class _ClosedError(Exception):
    """The calibrator was closed while it was at work."""


def _lower_priority() -> None:
    """Have this thread, where the system knows priorities of threads, give way to all others."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICEST)
