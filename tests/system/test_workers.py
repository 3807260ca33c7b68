"""Threads: refused with the reason, and none left behind by the trial."""

from __future__ import annotations

import threading

import pytest

from shitu_edge.errors import ClosedError, EngineError
from shitu_edge.system.workers import Workers, require_threads


@pytest.fixture
def two_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that starts two further threads and no third."""
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def limited(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)


@pytest.mark.usefixtures("two_more_threads")
def test_workers_say_that_no_thread_can_be_started() -> None:
    held = threading.Event()
    with Workers(3) as workers:
        futures = [workers.submit(held.wait) for _ in range(2)]
        with pytest.raises(EngineError, match=r"^cannot start another thread; raise the process limit"):
            workers.submit(held.wait)
        held.set()
        assert [future.result() for future in futures] == [True, True]


def test_workers_say_that_they_were_ended() -> None:
    workers = Workers(1)
    assert workers.submit(sum, [1, 2]).result() == 3
    workers.shutdown()
    with pytest.raises(ClosedError, match="the recognizer is closed"):
        workers.submit(sum, [1, 2])


def test_require_threads_leaves_none() -> None:
    before = threading.active_count()
    require_threads(20)
    assert threading.active_count() == before


@pytest.mark.usefixtures("two_more_threads")
def test_require_threads_refuses_and_leaves_none() -> None:
    before = threading.active_count()
    with pytest.raises(EngineError, match="cannot start another thread"):
        require_threads(3)
    assert threading.active_count() == before
