"""The ASGI application: who may come in, which endpoint answers, and every error as JSON."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from ..errors import OptionError, ShituError
from . import changing, looking, operating, recognition, watching
from .admission import BusyError, GoneError
from .answers import RefusedError, error_response, refusal
from .openapi import description
from .operations import Call, Operation, deadline_of
from .options import parse
from .service import Service

_log = logging.getLogger(__name__)

OPERATIONS: tuple[Operation, ...] = (
    *recognition.OPERATIONS,
    *watching.OPERATIONS,
    *changing.OPERATIONS,
    *looking.OPERATIONS,
    *operating.OPERATIONS,
)

_MOST_PARAMETERS = 64
_GONE = 499
"""Status in log and metrics where the caller had gone before the answer."""
_QUIET = ("/healthz", "/readyz", "/metrics")
"""Asked every few seconds: not worth a line in the log."""

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]


class App:
    """The application of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        routes = [Route(one.path, _endpoint(service, one), methods=[one.method]) for one in OPERATIONS]
        self._description = json.dumps(description(OPERATIONS)).encode()
        routes.append(Route("/openapi.json", self._openapi, methods=["GET"]))
        self._router = Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer a request."""
        scope["app"] = self  # or the router would answer in plain text what it does not know
        began, status = time.perf_counter(), 0

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._service.access.require_place(Headers(scope=scope), scope["scheme"])
            await self._router(scope, receive, sending)
        except GoneError:
            status = _GONE
        except Exception as error:
            if status:
                raise  # in the middle of an answer: the connection is closed
            refused = _refused(error)
            if isinstance(error, BusyError):
                self._service.metrics.refused.labels(error.reason).inc()
            scope["note"] = str(refused)
            response = error_response(refused)
            if isinstance(error, HTTPException) and error.headers:
                response.headers.update(error.headers)
            await response(scope, receive, sending)
        finally:
            self._tell(scope, status, time.perf_counter() - began)

    async def _openapi(self, request: Request) -> Response:
        return Response(self._description, media_type="application/json")

    def _tell(self, scope: Any, status: int, seconds: float) -> None:
        """Count a request, and log it if an operator may want to know."""
        path = scope.get("operation", "none")
        metrics = self._service.metrics
        metrics.requests.labels(path, str(status)).inc()
        metrics.seconds.labels(path).observe(seconds)
        if path in _QUIET:
            return
        note = scope.get("note", "")
        caller = f", token {scope['caller']}" if scope.get("caller") else ""
        ms = seconds * 1000
        _log.info("%s %s %d in %.1f ms%s%s", scope["method"], path, status, ms, caller, f": {note}" if note else "")


def _endpoint(service: Service, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    """Return the function that checks a request and has an operation answer it."""

    async def answer(request: Request) -> Response:
        scope = request.scope
        scope["operation"] = operation.path
        caller = ""
        if operation.scope is not None:
            caller = scope["caller"] = service.access.require_scope(request.headers, operation.scope)
        options: Any = parse(operation.options, _query(scope["query_string"]))
        usual_ms = service.configuration.deadline_ms
        deadline = deadline_of(request, usual_ms) if operation.has_deadline else None
        call = Call(service, request, caller, options, deadline)
        response = await operation.answer_to(call)
        scope["note"] = call.note
        return response

    return answer


def _query(text: bytes) -> list[tuple[str, str]]:
    """Return the parameters of a query string; raises `OptionError`."""
    try:
        return parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError as error:  # not UTF-8, or too many
        raise OptionError(f"the query cannot be read: {error}") from error


def _refused(error: Exception) -> RefusedError:
    """Return what an error is answered with; a traceback goes to the log alone."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, ShituError):
        return refusal(error)
    if isinstance(error, HTTPException):
        kind = "NotFoundError" if error.status_code == 404 else "RequestError"
        return RefusedError(error.status_code, kind, error.detail)
    _log.exception("a request failed", exc_info=error)
    return RefusedError(500, "InternalError", "the server failed; its log says why")
