"""Endpoints for whoever runs the server: health, readiness, metrics, the description, reloading."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from starlette.responses import Response

from .. import __version__
from ..errors import ShituError
from .answers import RefusedError, json_response
from .metrics import CONTENT_TYPE
from .operations import Call, Operation
from .ready import Check
from .service import Reloaded


@dataclass(frozen=True, slots=True)
class Health:
    """The process answers, and its version."""

    status: Literal["alive"]
    version: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether images can be sent.

    Attributes:
        ready: a golden image was recognized right, and nothing is broken since.
        check: what the golden image showed; None while the server starts.
        error: what is broken: every engine failed at the last call, or the gallery's file is gone; else None.
    """

    ready: bool
    check: Check | None
    error: str | None


async def healthz(call: Call) -> Response:
    """Answer that the process lives."""
    return json_response(Health("alive", __version__))


async def readyz(call: Call) -> Response:
    """Answer whether images can be sent: 200 or 503."""
    service = call.service
    answer = Readiness(service.is_ready, service.check, service.broken)
    return json_response(answer, status=200 if answer.ready else 503)


async def metrics(call: Call) -> Response:
    """Answer with the metrics as text."""
    await asyncio.to_thread(call.service.refresh)
    return Response(call.service.metrics.text(), media_type=CONTENT_TYPE)


async def reload(call: Call) -> Response:
    """Reload bundle, gallery, tokens and configuration."""
    try:
        return json_response(await call.service.reload())
    except ShituError as error:
        message = f"{error}; nothing was changed"
        raise RefusedError(409, type(error).__name__, message) from error


OPERATIONS = (
    Operation("GET", "/healthz", "healthz", "Say that the process lives.", None, healthz, (Health,)),
    Operation(
        "GET",
        "/readyz",
        "readyz",
        "Say whether images can be sent: a golden image was recognized right (else 503).",
        None,
        readyz,
        (Readiness,),
    ),
    Operation("GET", "/metrics", "metrics", "Metrics in Prometheus' text format.", "recognize", metrics, CONTENT_TYPE),
    Operation(
        "POST",
        "/v1/reload",
        "reload",
        "Read configuration and tokens again, and open the bundle and the gallery that they name.",
        "manage",
        reload,
        (Reloaded,),
        errors=(409,),
    ),
)
