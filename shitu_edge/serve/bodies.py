"""Request bodies, within limits of size, kind and time."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from ..errors import OptionError
from ..schema import SchemaError, build
from ..system.files import parse_json
from .admission import Deadline, GoneError
from .answers import RefusedError

T = TypeVar("T")

IMAGE_TYPES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "image/gif",
    "image/avif",
    "image/heic",
    "application/octet-stream",
)
"""Of bodies that are images; the content decides the format."""
JSON_TYPE = "application/json"
MOST_JSON_BYTES = 1 << 16


def require_kind(request: Request, kinds: tuple[str, ...], most_bytes: int) -> None:
    """Check what the headers say of the body, before any of it is read.

    Raises:
        RefusedError: 400 for a wrong length, 413 if it is larger than `most_bytes`, 415 if it is of another kind or
            compressed.
    """
    headers = request.headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in kinds:
        raise RefusedError(415, "RequestError", f"expected Content-Type {kinds[0]}, found {kind[:100] or 'none'}")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise RefusedError(415, "RequestError", "expected a body without Content-Encoding")
    length = headers.get("content-length")
    if length is not None and (len(length) > 18 or int(length) > most_bytes):
        raise _too_large(most_bytes, close=False)


async def read(request: Request, most_bytes: int, timeout_s: float, deadline: Deadline | None = None) -> bytes:
    """Return the body.

    Raises:
        RefusedError: 408 if it does not arrive in time, 413 if it is larger than `most_bytes`.
        GoneError: the caller has gone.
    """
    limit_s = timeout_s if deadline is None else min(timeout_s, max(deadline.left_ms, 1) / 1000)
    try:
        return await asyncio.wait_for(_joined(request, most_bytes), limit_s)
    except asyncio.TimeoutError as error:
        raise RefusedError(
            408, "RequestError", f"the body did not arrive within {limit_s:.3g} s", close=True
        ) from error
    except ClientDisconnect as error:
        raise GoneError from error


async def read_record(request: Request, kind: type[T], timeout_s: float) -> T:
    """Return a JSON body as an instance of a frozen dataclass.

    Raises:
        RefusedError: as `require_kind` and `read`.
        OptionError: it is not JSON, or not a `kind`.
    """
    require_kind(request, (JSON_TYPE,), MOST_JSON_BYTES)
    content = await read(request, MOST_JSON_BYTES, timeout_s)
    try:
        return build(kind, parse_json(content))
    except SchemaError as error:
        raise OptionError(str(error).replace("the file", "the body")) from error
    except ValueError as error:
        raise OptionError(f"the body {error}") from error


async def gone(request: Request) -> None:
    """Return when the caller has closed the connection; to be awaited when the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _joined(request: Request, most_bytes: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most_bytes:
            raise _too_large(most_bytes, close=True)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(most_bytes: int, *, close: bool) -> RefusedError:
    return RefusedError(413, "RequestError", f"the body is larger than {most_bytes} bytes", close=close)
