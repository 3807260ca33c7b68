"""A gallery's calibration, kept up to date while the gallery changes."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np

from ..bundle import DecisionPolicy
from ..errors import OptionError
from ..gallery import Gallery, GalleryItem, Revision
from ..gallery.labels import NEGATIVE
from ..results import Calibration, CalibrationState
from ..system.files import read_bounded, write_aside
from .score import NEIGHBORS
from .threshold import FEWEST_PRODUCTS, UnknownScores, estimated_threshold, promised_threshold
from .unknown import MOST_QUERIES, Ids, Rows, chosen_queries, unknown_scores

_log = logging.getLogger(__name__)

_METHOD = f"score 3, {NEIGHBORS} neighbors, {MOST_QUERIES} queries"
"""Whatever changes the scores of the same gallery changes this, so that none are taken from the cache."""
_AT_ONCE = 1000
"""Items up to which a gallery is calibrated in a tenth of a second, so that nobody has to wait for a thread."""
_CHANGED = 0.1
_HIGHEST_SCORE = 1.0
_MOST_RATES = 64
_ROWS = 512
_MOST_BYTES = 1 << 20
_MOST_FILES = 64
_NICEST = 19


@dataclass(frozen=True, slots=True)
class _Known:
    """The scores of a revision, and thresholds from them by rate and confidence."""

    revision: int
    items: int
    unknown: UnknownScores
    thresholds: dict[tuple[float, float | None], float | OptionError] = field(default_factory=dict)


class Calibrator:
    """Says from which score a gallery names a product. Safe from several threads.

    The scores of unknown objects are derived from the gallery's items, in the background when there are many; when a
    tenth of the items has changed, they are derived again. Until then, and with fewer than 20 labels, there is no
    threshold, and the bundle's similarity threshold decides. They are kept in the cache folder by the content of the
    gallery, so a restart, a rollback or a copy of the gallery finds them.
    """

    def __init__(self, gallery: Gallery, cache: Path | None) -> None:
        self._gallery = gallery
        self._folder = None if cache is None else cache / "calibration"
        self._starting = threading.Lock()
        self._updating = threading.Lock()
        self._known: _Known | None = None
        self._seen = self._failed = 0
        """Revisions: the newest that `_known` serves, and one that could not be calibrated."""
        self._changed = 0, False
        """A revision, and whether a tenth has changed up to it."""
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def at(self, rate: float, confidence: float | None = None, *, wait: bool = False) -> Calibration:
        """Return the calibration for a rate of false accepts; without `wait`, what there is now.

        Args:
            rate: largest share of unknown objects that get a name, above 0 and below 1.
            confidence: that the rate is kept; a best estimate when None.
            wait: until it is that of the present revision.

        Raises:
            OptionError: the products are too few for this rate at this confidence, or a number is out of range.
            GalleryError: the gallery cannot be read.
        """
        revision, items = self._gallery.revision, len(self._gallery)
        if revision != self._seen:
            if wait or (self._known is None and items <= _AT_ONCE):
                self._update(lambda: None)
            elif revision != self._failed:
                self._begin()
        known = self._known
        if known is None or known.unknown.count < FEWEST_PRODUCTS:
            return Calibration("uncalibrated", rate, confidence, None, known.unknown.count if known else 0, revision)
        threshold = self._threshold(known, rate, confidence)
        stale = revision != self._seen and self._is_changed(known, revision)
        thin = confidence is None and rate < known.unknown.supported_rate
        state: CalibrationState = "stale" if stale else "thin" if thin else "calibrated"
        return Calibration(state, rate, confidence, threshold, known.unknown.count, known.revision)

    def _threshold(self, known: _Known, rate: float, confidence: float | None) -> float:
        key = rate, confidence
        if key not in known.thresholds:
            if len(known.thresholds) >= _MOST_RATES:
                known.thresholds.clear()
            try:
                found = (
                    estimated_threshold(known.unknown, rate)
                    if confidence is None
                    else promised_threshold(known.unknown, rate, confidence)
                )
                self._warn_of(found, rate)
                known.thresholds[key] = found
            except OptionError as error:
                known.thresholds[key] = error
        threshold = known.thresholds[key]
        if isinstance(threshold, OptionError):
            raise OptionError(str(threshold))
        return threshold

    def _is_changed(self, known: _Known, revision: int) -> bool:
        if self._changed[0] != revision:
            self._changed = revision, self._has_changed(known)
        return self._changed[1]

    def for_policy(self, policy: DecisionPolicy, *, wait: bool = False) -> Calibration | None:
        """Return the calibration for a policy's rate; None if it states none. See `at`."""
        if policy.max_false_accept is None:
            return None
        return self.at(policy.max_false_accept, policy.confidence, wait=wait)

    def _warn_of(self, threshold: float, rate: float) -> None:
        if threshold > _HIGHEST_SCORE:
            _log.warning(
                "%s: every object will be unknown: %.1f%% false accepts need a score of %.3f, and scores end at 1; "
                "merge what `gallery audit` shows under two labels, or allow more false accepts",
                self._gallery.path,
                100 * rate,
                threshold,
            )

    def close(self) -> None:
        """End the thread, within a block of its work."""
        with self._starting:
            self._closing.set()
            thread = self._thread
        if thread is not None:
            thread.join()

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

        revision = 0
        try:
            revision = self._gallery.revision
            self._update(pause)
        except _ClosedError:
            pass
        except Exception as error:  # in a thread, nobody else would see it
            if not self._closing.is_set():
                _log.warning("%s: cannot be calibrated: %s", self._gallery.path, error)
            self._failed = revision  # or every image would try again

    def _update(self, pause: Callable[[], None]) -> None:
        with self._updating:
            if self._gallery.revision == self._seen:  # by another thread, while this one waited
                return
            known = self._known
            newest = self._gallery.history.log()[0].id
            if known is None or len(self._gallery) <= _AT_ONCE or self._has_changed(known):
                known = self._derived(pause)
                newest = known.revision
                _log.info("%s: calibrated with %d products", self._gallery.path, known.unknown.count)
            self._known, self._seen = known, newest

    def _has_changed(self, known: _Known) -> bool:
        since = [entry for entry in self._gallery.history.log() if entry.id > known.revision]
        return sum(entry.added + entry.removed for entry in since) >= _CHANGED * max(1, known.items)

    def _derived(self, pause: Callable[[], None]) -> _Known:
        newest, items = self._content()
        meta = self._gallery.meta
        name = hashlib.sha256(f"{_METHOD} {meta.fingerprint} {newest.digest}".encode()).hexdigest()[:32]
        stored = self._stored(name)
        if stored is None:
            stored = self._scored(items, pause)
            self._store(name, stored)
        return _Known(newest.id, len(items), stored)

    def _content(self) -> tuple[Revision, list[GalleryItem]]:
        """Return the newest revision and its items, although others may commit meanwhile."""
        while True:
            newest, items = self._gallery.history.log()[0], self._gallery.items()
            if self._gallery.history.log()[0].id == newest.id:
                return newest, items

    def _scored(self, items: Sequence[GalleryItem], pause: Callable[[], None]) -> UnknownScores:
        numbers: dict[str, int] = {}
        labels = np.array([numbers.setdefault(item.label, len(numbers)) for item in items], np.int64)
        negative = numbers.get(NEGATIVE, -1)
        ids = [item.id for item in items]
        products = np.flatnonzero(labels != negative)
        chosen = products[chosen_queries(labels[products])]
        if not len(chosen):
            return UnknownScores(np.zeros(0), np.zeros(0, np.int64))
        queries = self._gallery.embeddings([ids[place] for place in chosen])

        def blocks() -> Iterator[tuple[Rows, Ids]]:
            for start in range(0, len(ids), _ROWS):
                yield self._gallery.embeddings(ids[start : start + _ROWS]), labels[start : start + _ROWS]

        return unknown_scores(queries, labels[chosen], blocks, pause, negative=negative)

    def _stored(self, name: str) -> UnknownScores | None:
        if self._folder is None:
            return None
        try:
            with np.load(BytesIO(read_bounded(self._folder / f"{name}.npz", _MOST_BYTES)), allow_pickle=False) as found:
                scores, products = found["scores"], found["products"]
        except Exception:  # missing, or damaged in any way: it is derived again
            return None
        sound = scores.shape == products.shape and scores.ndim == 1 and len(scores) <= MOST_QUERIES
        sound = sound and scores.dtype == np.float64 and products.dtype == np.int64 and bool(np.isfinite(scores).all())
        return UnknownScores(scores, products) if sound else None

    def _store(self, name: str, unknown: UnknownScores) -> None:
        if self._folder is None:
            return
        content = BytesIO()
        np.savez(content, scores=unknown.scores, products=unknown.products)
        with suppress(OSError):  # a cache that cannot be written costs time at the next start
            self._folder.mkdir(parents=True, exist_ok=True)
            write_aside(self._folder / f"{name}.npz", content.getvalue())
            files = sorted(self._folder.glob("*.npz"), key=lambda file: file.stat().st_mtime)
            for file in files[:-_MOST_FILES]:
                file.unlink(missing_ok=True)


class _ClosedError(Exception):
    """The calibrator was closed while it was at work."""


def _lower_priority() -> None:
    """Have this thread, where the system knows priorities of threads, give way to all others."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICEST)
