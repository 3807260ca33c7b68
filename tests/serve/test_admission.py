"""What is taken, waits or is refused, decided by events and not by sleeping."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from shitu_edge.serve.admission import Admission, BusyError, Deadline, GoneError

T = TypeVar("T")
WITHIN_S = 30


class Gate:
    """Work that begins when it is its turn, and ends when it is let."""

    def __init__(self) -> None:
        self.begun, self.let = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.let.wait(WITHIN_S)
        return "done"


@contextmanager
def admission(most: int) -> Iterator[Admission]:
    made = Admission(most)
    try:
        yield made
    finally:
        made.close()


def run(test: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return asyncio.run(asyncio.wait_for(test(), WITHIN_S))


async def never() -> None:
    await asyncio.Event().wait()


async def _begun(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.begun.wait, WITHIN_S)


def test_run_returns_the_result_and_its_times() -> None:
    with admission(2) as lane:
        done = run(lambda: lane.run(lambda: 7, None, never()))
        assert done.result == 7
        assert done.took_ms >= 0
        assert done.waited_ms >= 0
        assert lane.inside == 0


def test_run_passes_errors_on() -> None:
    def fail() -> None:
        raise ValueError("no")

    with admission(2) as lane:
        with pytest.raises(ValueError, match="no"):
            run(lambda: lane.run(fail, None))
        assert lane.inside == 0


def test_third_request_is_refused_while_two_are_inside() -> None:
    async def test(lane: Admission) -> list[Any]:
        first, second = Gate(), Gate()
        running = asyncio.ensure_future(lane.run(first, None))
        await _begun(first)
        waiting = asyncio.ensure_future(lane.run(second, None))
        await asyncio.sleep(0)
        assert lane.inside == 2
        with pytest.raises(BusyError) as busy:
            lane.require_room()
        assert (busy.value.status, busy.value.reason, busy.value.facts.kind) == (503, "queue", "BusyError")
        assert not second.begun.is_set()
        first.let.set()
        second.let.set()
        return [(await running).result, (await waiting).result]

    with admission(2) as lane:
        assert run(lambda: test(lane)) == ["done", "done"]
        lane.require_room()


def test_last_place_is_given_later_while_requests_are_refused() -> None:
    async def test(lane: Admission) -> None:
        now, long_ms = time.perf_counter(), 1_000_000.0
        lane._times.append((now, long_ms))
        first, second = Gate(), Gate()
        running = asyncio.ensure_future(lane.run(first, None))
        await _begun(first)
        lane.require_room()  # nobody was refused
        waiting = asyncio.ensure_future(lane.run(second, None))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            lane.require_room()
        first.let.set()
        await running
        await _begun(second)
        with pytest.raises(BusyError):  # the second one has only begun
            lane.require_room()
        assert lane._began is not None
        lane._began -= 0.6 * long_ms / 1000
        lane.require_room()  # more than half of it is done
        second.let.set()
        await waiting
        lane.require_room()

    with admission(2) as lane:
        run(lambda: test(lane))


def test_deadline_that_cannot_be_met_is_refused_before_anything_is_read() -> None:
    with admission(2) as lane:
        run(lambda: lane.run(lambda: time.sleep(0.05), None))  # says how long work takes
        lane.require_room(Deadline.after(10_000))
        with pytest.raises(BusyError) as busy:
            lane.require_room(Deadline.after(1))
        assert busy.value.reason == "deadline"
        assert "would take" in str(busy.value)


def test_old_times_refuse_nobody() -> None:
    hour_ms, now = 3_600_000.0, time.perf_counter()
    with admission(2) as lane:
        lane._times.append((now - 11, hour_ms))
        lane.require_room(Deadline.after(60_000))
        lane._times.append((now, hour_ms))
        with pytest.raises(BusyError):
            lane.require_room(Deadline.after(60_000))


def test_deadline_that_passes_in_the_queue_is_refused_without_working() -> None:
    async def test(lane: Admission) -> None:
        first, worked = Gate(), threading.Event()
        running = asyncio.ensure_future(lane.run(first, None))
        await _begun(first)
        deadline = Deadline.after(1)
        waiting = asyncio.ensure_future(lane.run(worked.set, deadline))
        await asyncio.sleep(0)
        while deadline.left_ms > 0:
            await asyncio.sleep(0.001)
        first.let.set()
        with pytest.raises(BusyError) as busy:
            await waiting
        assert (busy.value.reason, worked.is_set(), (await running).result) == ("late", False, "done")

    with admission(2) as lane:
        run(lambda: test(lane))


def test_work_of_a_caller_who_has_gone_is_not_begun() -> None:
    async def test(lane: Admission) -> None:
        first, worked, gone = Gate(), threading.Event(), asyncio.Event()
        running = asyncio.ensure_future(lane.run(first, None))
        await _begun(first)

        async def closed() -> None:
            await gone.wait()

        waiting = asyncio.ensure_future(lane.run(worked.set, None, closed()))
        await asyncio.sleep(0)
        gone.set()
        with pytest.raises(GoneError):
            await waiting
        assert lane.inside == 1
        first.let.set()
        await running
        assert not worked.is_set()

    with admission(2) as lane:
        run(lambda: test(lane))
        assert lane.inside == 0


def test_stop_refuses_and_close_ends_what_was_begun() -> None:
    async def test(lane: Admission) -> None:
        first = Gate()
        running = asyncio.ensure_future(lane.run(first, None))
        await _begun(first)
        lane.stop()
        with pytest.raises(BusyError) as busy:
            await lane.run(lambda: 1, None, never())
        assert busy.value.reason == "stopping"
        first.let.set()
        assert (await running).result == "done"

    with admission(2) as lane:
        run(lambda: test(lane))


def test_expected_wait_is_what_the_others_will_take() -> None:
    async def test(lane: Admission) -> None:
        assert lane.expected_ms() == 0
        first, second = Gate(), Gate()
        running = asyncio.ensure_future(lane.run(first, None))
        await _begun(first)
        waiting = asyncio.ensure_future(lane.run(second, None))
        await asyncio.sleep(0)
        usual = sorted(lane._recent())[0]
        assert usual <= lane.expected_ms() <= 2 * usual
        first.let.set()
        second.let.set()
        await asyncio.gather(running, waiting)

    with admission(2) as lane:
        run(lambda: lane.run(lambda: time.sleep(0.02), None))
        run(lambda: test(lane))
