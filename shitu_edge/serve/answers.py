"""Answers and errors as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from starlette.responses import Response

from ..errors import ImageError, OptionError, ShituError

SCHEMA_VERSION = 1
"""Of all answers. New keys may appear in a version; a key that changes or goes raises it."""


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """Why a request was refused.

    Attributes:
        kind: class of the error in Python, or `AccessError`, `BusyError`, `NotFoundError`, `RequestError`.
        message: one line for people.
        retry_after_ms: when to try again; None if that would not help.
    """

    kind: str
    message: str
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """Every answer that is not a success."""

    error: ErrorFacts


class RefusedError(Exception):
    """A request is answered with an error."""

    def __init__(
        self, status: int, kind: str, message: str, *, retry_after_ms: float | None = None, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.facts = ErrorFacts(kind, message, None if retry_after_ms is None else max(1, math.ceil(retry_after_ms)))
        self.close = close
        """End the connection, as the rest of the request is not read."""


def refusal(error: ShituError) -> RefusedError:
    """Return what an error of the library is answered with.

    An image or an option is the caller's fault. A gallery's errors that handlers did not foresee are about its file.
    """
    kind, message = type(error).__name__, str(error)
    if isinstance(error, (ImageError, OptionError)):
        return RefusedError(422, kind, message)
    return RefusedError(503, kind, message, retry_after_ms=1000)


def json_bytes(*records: Any) -> bytes:
    """Return the keys of several mappings and dataclasses as one JSON object, the schema version first.

    It equals `dataclasses.asdict`, at a third of its time (`benchmarks/serve.py`).
    """
    joined: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    for record in records:
        joined |= record if isinstance(record, Mapping) else _shallow(record)
    return json.dumps(joined, ensure_ascii=False, allow_nan=False, default=_shallow).encode(errors="replace")


def json_response(*records: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer of `json_bytes`."""
    return Response(json_bytes(*records), status, headers, "application/json")


@cache
def shown_fields(kind: Any) -> tuple[str, ...]:
    """Return the fields of a dataclass that JSON has: those that are public, without the points of a second look."""
    names = (one.name for one in fields(kind))
    return tuple(name for name in names if not name.startswith("_") and name != "evidence")


def _shallow(record: Any) -> dict[str, Any]:
    kind: Any = type(record)
    return {name: getattr(record, name) for name in shown_fields(kind)}


def error_response(error: RefusedError) -> Response:
    """Return a refusal as JSON."""
    facts = error.facts
    headers = {"connection": "close"} if error.close else {}
    if facts.retry_after_ms is not None:
        headers["retry-after"] = str(math.ceil(facts.retry_after_ms / 1000))
    if error.status == 401:
        headers["www-authenticate"] = 'Bearer realm="shitu-edge"'
    return json_response(ErrorAnswer(facts), status=error.status, headers=headers)
