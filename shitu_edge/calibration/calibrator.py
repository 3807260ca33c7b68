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
from ..errors import ShituError
from ..gallery import Gallery, GalleryItem
from ..gallery.labels import NEGATIVE
from ..results import Calibration, CalibrationState
from ..system.files import read_bounded, write_aside
from .score import NEIGHBORS
from .threshold import FEWEST_PRODUCTS, UnknownScores, estimated_threshold, promised_threshold
from .unknown import MOST_QUERIES, Ids, Rows, chosen_queries, unknown_scores

_log = logging.getLogger(__name__)

_METHOD = f"score 2, {NEIGHBORS} neighbors, {MOST_QUERIES} queries"
"""Whatever changes the scores of the same gallery changes this, so that none are taken from the cache."""
_AT_ONCE = 1000
"""Items up to which a gallery is calibrated in a tenth of a second, so that nobody has to wait for a thread."""
_CHANGED = 0.1
_HIGHEST_SCORE = 1.0
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
    thresholds: dict[tuple[float, float | None], float] = field(default_factory=dict)


class Calibrator:
    """Says from which score a gallery names a product. Safe from several threads.

    The scores of unknown objects are derived from the gallery's items, in the background when there are many; when a
    tenth of the items has changed, they are derived anew. Until then, and with fewer than 20 labels, there is no
    threshold, and the bundle's similarity threshold decides. They are kept in the cache folder by the content of the
    gallery, so a restart, a rollback or a copy of the gallery finds them.
    """

    def __init__(self, gallery: Gallery, cache: Path | None) -> None:
        self._gallery = gallery
        self._folder = None if cache is None else cache / "calibration"
        self._lock = threading.Lock()
        self._known: _Known | None = None
        self._seen = 0
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
            else:
                self._begin()
        known = self._known
        if known is None or known.unknown.count < FEWEST_PRODUCTS:
            return Calibration("uncalibrated", rate, confidence, None, known.unknown.count if known else 0, revision)
        key = rate, confidence
        if key not in known.thresholds:
            known.thresholds[key] = (
                estimated_threshold(known.unknown, rate)
                if confidence is None
                else promised_threshold(known.unknown, rate, confidence)
            )
            self._warn_of(known.thresholds[key], rate)
        stale = abs(items - known.items) >= _CHANGED * known.items
        thin = confidence is None and rate < known.unknown.supported_rate
        state: CalibrationState = "stale" if stale else "thin" if thin else "calibrated"
        return Calibration(state, rate, confidence, known.thresholds[key], known.unknown.count, known.revision)

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
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _begin(self) -> None:
        with self._lock:
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

        try:
            self._update(pause)
        except _ClosedError:
            pass
        except (ShituError, OSError) as error:
            _log.warning("%s: cannot be calibrated: %s", self._gallery.path, error)
            self._seen = self._gallery.revision  # or every image would try again

    def _update(self, pause: Callable[[], None]) -> None:
        revision = self._gallery.revision
        known = self._known
        if known is None or len(self._gallery) <= _AT_ONCE or self._has_changed(known):
            known = self._derived(revision, pause)
            _log.info("%s: calibrated with %d products", self._gallery.path, known.unknown.count)
        self._known, self._seen = known, revision

    def _has_changed(self, known: _Known) -> bool:
        since = [entry for entry in self._gallery.history.log() if entry.id > known.revision]
        return sum(entry.added + entry.removed for entry in since) >= _CHANGED * max(1, known.items)

    def _derived(self, revision: int, pause: Callable[[], None]) -> _Known:
        content = self._gallery.history.log()[0].digest
        meta = self._gallery.meta
        name = hashlib.sha256(f"{_METHOD} {meta.fingerprint} {content}".encode()).hexdigest()[:32]
        items = self._gallery.items()
        stored = self._stored(name)
        if stored is None:
            stored = self._scored(items, pause)
            self._store(name, stored)
        return _Known(revision, len(items), stored)

    def _scored(self, items: Sequence[GalleryItem], pause: Callable[[], None]) -> UnknownScores:
        names, labels = np.unique([item.label for item in items], return_inverse=True)
        ids = [item.id for item in items]
        products = np.flatnonzero([names[label] != NEGATIVE for label in labels])
        chosen = products[chosen_queries(labels[products])]
        if not len(chosen):
            return UnknownScores(np.zeros(0), np.zeros(0, np.int64))
        queries = self._gallery.embeddings([ids[place] for place in chosen])

        def blocks() -> Iterator[tuple[Rows, Ids]]:
            for start in range(0, len(ids), _ROWS):
                yield self._gallery.embeddings(ids[start : start + _ROWS]), labels[start : start + _ROWS]

        return unknown_scores(queries, labels[chosen], blocks, pause)

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
