"""A recognizer, and one on the other engine for when the first fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..errors import EmbeddingError, EngineError, ShituError
from ..recognizer import Recognizer

_log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_FAILURES = 3
"""In a row, after which the other engine is asked first."""


@dataclass(frozen=True, slots=True)
class Retry:
    """An engine failed, and another one has answered.

    Attributes:
        engine: the one that failed.
        error: what it said.
    """

    engine: str
    error: str


class Engines:
    """Two recognizers of the same bundle and gallery. Safe from several threads.

    The second one is opened when the first one fails, and kept.
    """

    def __init__(self, first: Recognizer, open_other: Callable[[], Recognizer] | None) -> None:
        """Begin with an open recognizer.

        Args:
            first: asked first.
            open_other: opens the recognizer on the other engine; None: a failure is final.
        """
        self._first = first
        self._other: Recognizer | None = None
        self._open_other = open_other
        self._opening = threading.Lock()
        self._failures = 0
        self.broken: str | None = None
        """Why the last call failed on every engine; None if it did not."""

    @property
    def first(self) -> Recognizer:
        """The recognizer that is asked first."""
        return self._first

    @property
    def all(self) -> tuple[Recognizer, ...]:
        """The recognizers that are open."""
        return (self._first,) if self._other is None else (self._first, self._other)

    def run(self, call: Callable[[Recognizer], T]) -> tuple[T, Retry | None]:
        """Return what a recognizer answers, and the failure of the one that was asked before, if one was.

        Raises:
            EngineError, EmbeddingError: both fail, or there is no other.
            ShituError: as the call.
        """
        first = self._first
        try:
            result = call(first)
        except (EngineError, EmbeddingError) as error:
            return self._retried(first, call, error)
        self._failures, self.broken = 0, None
        return result, None

    def close(self) -> None:
        """Close both recognizers."""
        for one in self.all:
            one.close()

    def _retried(self, failed: Recognizer, call: Callable[[Recognizer], T], error: ShituError) -> tuple[T, Retry]:
        retry = Retry(failed.extractor_info.engine, str(error))
        try:
            other = self._another(failed, error)
            result = call(other)
        except (EngineError, EmbeddingError) as last:
            self.broken = str(last)
            raise
        self.broken = None
        with self._opening:
            self._failures += 1
            if self._failures >= MOST_FAILURES and self._first is failed:
                self._first, self._other, self._failures = other, failed, 0
                _log.error(
                    "%s failed %d times in a row; %s is asked first", retry.engine, MOST_FAILURES, _engine(other)
                )
        _log.warning("%s failed, %s answered: %s", retry.engine, _engine(other), retry.error)
        return result, retry

    def _another(self, failed: Recognizer, error: ShituError) -> Recognizer:
        with self._opening:
            if self._other is None:
                if self._open_other is None:
                    raise error
                try:
                    self._other = self._open_other()
                except ShituError as missing:
                    raise EngineError(f"{error}; and no other engine can be opened: {missing}") from error
            return self._other if failed is not self._other else self._first


def _engine(recognizer: Recognizer) -> str:
    return recognizer.extractor_info.engine
