"""Threads shared by a recognizer's stages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ..errors import ClosedError, EngineError

_NO_THREAD = "cannot start another thread; raise the process limit (ulimit -u, pids.max, TasksMax)"


class Workers(ThreadPoolExecutor):
    """A pool of `count` threads; its tasks must not wait for each other."""

    def __init__(self, count: int) -> None:
        super().__init__(count, "shitu-edge")
        self.count = count

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Run a function in one of the threads.

        Raises:
            EngineError: a thread cannot be started.
            ClosedError: the pool is closed.
        """
        try:
            return super().submit(work, *arguments, **named)
        except RuntimeError as error:
            if "new thread" in str(error):
                raise EngineError(_NO_THREAD) from error
            raise ClosedError("the recognizer is closed") from error


def require_threads(count: int) -> None:
    """Check that `count` threads can be started, as native code may abort the process; raises `EngineError`."""
    end = threading.Event()
    threads = [threading.Thread(target=end.wait, name="shitu-edge-trial", daemon=True) for _ in range(count)]
    started = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
    except RuntimeError as error:
        raise EngineError(_NO_THREAD) from error
    finally:
        end.set()
        for thread in started:
            thread.join()
