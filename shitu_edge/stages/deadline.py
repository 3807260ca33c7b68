"""The time of one call: a clock of its stages, and extraction that keeps a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from ..imaging.geometry import Boxes
from ..results import StageTimes
from .extract import Extractor

LeavesTime = Callable[[float, int], bool]
"""Returns whether so many more ms leave time to embed so many boxes."""

_FOLLOW = 0.2
"""How fast the expected time of a wave of crops follows the measured one."""


class Clock:
    """Stage times of one call."""

    def __init__(self) -> None:
        self._start = time.perf_counter_ns()
        self._stages: dict[str, float] = {}

    def elapsed_ms(self) -> float:
        """Return milliseconds since the clock was started."""
        return (time.perf_counter_ns() - self._start) / 1e6

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what is done inside as the stage of that name."""
        before = self.elapsed_ms()
        yield
        self._stages[name] = self.elapsed_ms() - before

    def times(self) -> StageTimes:
        """Return the time of each stage, and the total until now."""
        return StageTimes(**self._stages, total=self.elapsed_ms())


class Pace:
    """How long a wave, as many boxes as there are workers, is expected to take: `expected_ms`.

    Args:
        warm_ms: milliseconds of a wave on a quiet machine.
    """

    def __init__(self, warm_ms: float) -> None:
        self.expected_ms = warm_ms
        self._warm_ms = warm_ms

    def follow(self, ms: float) -> None:
        """Take the milliseconds of another wave into account."""
        self.expected_ms += _FOLLOW * (ms - self.expected_ms)

    def relax(self) -> None:
        """Go back toward a quiet machine, or one slow wave would keep all later ones from being tried."""
        self.follow(self._warm_ms)


class DeadlineExtractor(Pace):
    """Embeds boxes in waves, as many crops as there are workers, and stops when the next wave would be late.

    Args:
        extractor: open and warm.
        dim: numbers per embedding.
        warm_ms: milliseconds of a wave on a quiet machine.
    """

    def __init__(self, extractor: Extractor, dim: int, warm_ms: float) -> None:
        super().__init__(warm_ms)
        self._extractor = extractor
        self._dim = dim

    def embed(
        self, pixels_rgb: NDArray[np.uint8], boxes: Boxes, clock: Clock, deadline_ms: float | None
    ) -> NDArray[np.float32]:
        """Embed boxes (N, 4) in order, as many as the deadline leaves time for; return their unit rows."""
        if deadline_ms is None:
            return self._extractor.embed(pixels_rgb, boxes)
        rows = [np.empty((0, self._dim), np.float32)]
        wave = self._extractor.workers.count
        for start in range(0, len(boxes), wave):
            before = clock.elapsed_ms()
            if before + self.expected_ms > deadline_ms:
                self.relax()
                break
            rows.append(self._extractor.embed(pixels_rgb, boxes[start : start + wave]))
            self.follow(clock.elapsed_ms() - before)
        return np.concatenate(rows)

    def spare(self, clock: Clock, deadline_ms: float | None) -> LeavesTime | None:
        """Return what says if more can be done before the boxes are embedded; None without a deadline."""
        if deadline_ms is None:
            return None

        def leaves_time(ms: float, boxes: int) -> bool:
            waves = -(-boxes // self._extractor.workers.count)
            return clock.elapsed_ms() + ms + waves * self.expected_ms <= deadline_ms

        return leaves_time
