"""Requests that are taken, wait or are refused: one worker thread, a short queue, deadlines.

Inference uses all threads that it may, so a second request at the same time would only make both slower. What cannot be
answered in time is refused at once, before its image is read, so that a till can go on without.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, TypeVar

from ..system.workers import Workers
from .answers import RefusedError

T = TypeVar("T")

BusyReason = Literal["queue", "deadline", "late", "starting", "stopping", "streams", "readers"]

_RECENT = 32
_CROWDED_S = 1.0
"""After a refusal, the last place is given later for so long."""
_RECENT_S = 10.0
"""Older times say nothing about now; so a request is tried at least every ten seconds, whatever they said."""


class BusyError(RefusedError):
    """A request cannot be taken now, or not in time: 503 with when to try again."""

    def __init__(self, reason: BusyReason, message: str, retry_after_ms: float) -> None:
        super().__init__(503, "BusyError", message, retry_after_ms=retry_after_ms)
        self.reason = reason


class GoneError(Exception):
    """The caller has closed the connection."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment until which an answer is of use, by `time.perf_counter`."""

    at: float

    @classmethod
    def after(cls, ms: float) -> Deadline:
        """Return the deadline in so many milliseconds."""
        return cls(time.perf_counter() + ms / 1000)

    @property
    def left_ms(self) -> float:
        """Milliseconds until then, negative when it has passed."""
        return (self.at - time.perf_counter()) * 1000


@dataclass(frozen=True, slots=True)
class Done:
    """A finished piece of work: its result, and how many milliseconds it waited and took."""

    result: Any
    waited_ms: float
    took_ms: float


class Admission:
    """A worker thread for one kind of request, and those that wait for it. Used from one event loop."""

    def __init__(self, most: int) -> None:
        """Take up to `most` requests at once: one is worked on, the others wait."""
        self.most = most
        self._worker = Workers(1)
        self._lock = threading.Lock()
        self._inside = 0
        self._began: float | None = None
        self._times: deque[tuple[float, float]] = deque(maxlen=_RECENT)
        """When recent work ended, and how many milliseconds it took."""
        self._refused_at = -math.inf
        self._stopping = False

    @property
    def inside(self) -> int:
        """Requests that are worked on or wait."""
        return self._inside

    def expected_ms(self) -> float:
        """Return the milliseconds until a new request would begin: what is left of the present one, then the others."""
        usual = median(self._recent() or [0.0])
        began = self._began
        spent = 0.0 if began is None else (time.perf_counter() - began) * 1000
        return max(usual * self._inside - min(spent, usual), 0.0)

    def require_room(self, deadline: Deadline | None = None) -> None:
        """Check that a request can be taken, and answered in time; raises `BusyError`."""
        wait = self.expected_ms()
        if self._stopping:
            raise BusyError("stopping", "the server is stopping", 1000)
        if self._inside >= self.most or self._is_crowded(wait):
            self._refused_at = time.perf_counter()
            raise BusyError("queue", f"{self._inside} requests are being answered or wait already", wait)
        if deadline is not None:
            least = min(self._recent(), default=0.0)
            if deadline.left_ms < wait + least:
                raise BusyError(
                    "deadline",
                    f"would take {wait + least:.0f} ms, and the deadline is in {deadline.left_ms:.0f} ms",
                    wait,
                )

    def _is_crowded(self, wait_ms: float) -> bool:
        """Return whether the last place is to be kept free.

        Where requests are refused, each free place is taken at once, and whoever gets the last one would wait for all
        others. So while there are refusals, it is given when half of the present work is done: answers keep their time,
        and the worker never waits for long.
        """
        if not 0 < self._inside == self.most - 1 or time.perf_counter() - self._refused_at > _CROWDED_S:
            return False
        return wait_ms > (self._inside - 0.5) * median(self._recent() or [math.inf])

    async def run(
        self, work: Callable[[], T], deadline: Deadline | None, gone: Coroutine[Any, Any, None] | None = None
    ) -> Done:
        """Run `work` in the worker thread when its turn comes.

        Args:
            work: what to do.
            deadline: when it has passed before `work` begins, it is not done.
            gone: ends when the caller has gone; what has not begun then is not done.

        Raises:
            BusyError: there is no room, or the deadline has passed.
            GoneError: the caller has gone.
        """
        try:
            self.require_room(deadline)
        except BusyError:
            if gone is not None:
                gone.close()
            raise
        given = time.perf_counter()
        with self._lock:
            self._inside += 1
        try:
            submitted = self._worker.submit(self._work, work, deadline, given)
        except BaseException:
            self._leave()
            if gone is not None:
                gone.close()
            raise
        submitted.add_done_callback(lambda _: self._leave())
        future = asyncio.wrap_future(submitted)
        if gone is not None:
            await _first(future, gone)
            if not future.done():
                future.cancel()
                raise GoneError
        done: Done = await future
        return done

    def stop(self) -> None:
        """Refuse further requests."""
        self._stopping = True

    def close(self) -> None:
        """Wait for the work that has begun; what waits is canceled."""
        self.stop()
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _work(self, work: Callable[[], Any], deadline: Deadline | None, given: float) -> Done:
        began = time.perf_counter()
        if deadline is not None and deadline.left_ms <= 0:
            raise BusyError("late", f"the deadline passed after {(began - given) * 1000:.0f} ms in the queue", 1)
        self._began = began
        try:
            result = work()
            ended = time.perf_counter()
            self._times.append((ended, (ended - began) * 1000))
            return Done(result, (began - given) * 1000, (ended - began) * 1000)
        finally:
            self._began = None

    def _leave(self) -> None:
        with self._lock:
            self._inside -= 1

    def _recent(self) -> list[float]:
        since = time.perf_counter() - _RECENT_S
        return [ms for ended, ms in list(self._times) if ended >= since]


async def _first(future: asyncio.Future[Any], other: Coroutine[Any, Any, None]) -> None:
    """Wait until one of both ends; the other coroutine is canceled then."""
    task = asyncio.ensure_future(other)
    try:
        await asyncio.wait({future, task}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
