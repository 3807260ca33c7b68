"""Threads that a recognizer's stages share, as many as the engine has streams."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ..errors import EngineError

_NO_THREAD = "cannot start another thread; raise the process limit (ulimit -u, pids.max, TasksMax)"


class Workers(ThreadPoolExecutor):
    """A pool of threads whose work must not wait for other work of the pool.

    Args:
        count: of threads.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count, "shitu-edge")
        self.count = count

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Run a function in one of the threads.

        Raises:
            EngineError: the threads were ended, or cannot be started.
        """
        try:
            return super().submit(work, *arguments, **named)
        except RuntimeError as error:
            raise EngineError(_NO_THREAD if "new thread" in str(error) else "the recognizer is closed") from error


def require_threads(count: int) -> None:
    """Check that this many threads can be started: native code that is refused one may abort the process.

    Raises:
        EngineError: they cannot.
    """
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
