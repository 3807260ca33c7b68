"""Threads that a recognizer's stages share, as many as the engine has streams."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from .errors import EngineError


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
            EngineError: the threads were ended.
        """
        try:
            return super().submit(work, *arguments, **named)
        except RuntimeError as error:
            raise EngineError("the recognizer is closed") from error
