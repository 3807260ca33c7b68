"""An endpoint: its path, who may call it, what it takes and gives, and the function that answers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ..errors import GalleryError, OptionError
from . import bodies
from .admission import Admission, Deadline, Done
from .opened import Opened
from .options import NoOptions
from .service import Service
from .tokens import Scope

T = TypeVar("T")

DEADLINE = "deadline-ms"
"""Header: milliseconds from now until which the answer is of use."""


@dataclass(slots=True)
class Call:
    """A request that may be answered.

    Attributes:
        service: what is shared.
        request: the request; its body is not read yet.
        caller: name of the token, empty without one.
        options: the query, as an instance of the operation's class.
        deadline: None without one.
        note: words about the answer, for the log.
    """

    service: Service
    request: Request
    caller: str
    options: Any
    deadline: Deadline | None
    note: str = ""

    async def image(self, lane: Admission) -> bytes:
        """Return the body, an image, unless there is no room for it or no time.

        Raises:
            RefusedError: see `bodies` and `Admission.require_room`.
        """
        configuration = self.service.configuration
        most = configuration.max_body_mb << 20
        bodies.require_kind(self.request, bodies.IMAGE_TYPES, most)
        lane.require_room(self.deadline)
        return await bodies.read(self.request, most, configuration.body_timeout_s, self.deadline)

    async def record(self, kind: type[T]) -> T:
        """Return the body, JSON, as an instance of a dataclass."""
        return await bodies.read_record(self.request, kind, self.service.configuration.body_timeout_s)

    async def run(self, lane: Admission, work: Callable[[Opened], T]) -> tuple[T, Done]:
        """Return what `work` makes of what is open, in the worker thread, and its times; call after reading the body.

        Raises:
            RefusedError: there is no room or no time.
            GoneError: the caller has gone before it began.
        """

        def using() -> T:
            with self.service.use() as opened:
                return work(opened)

        try:
            done = await lane.run(using, self.deadline, bodies.gone(self.request))
        except GalleryError:
            if not await self.service.renew():
                raise
            done = await lane.run(using, self.deadline, bodies.gone(self.request))
        result: T = done.result
        return result, done

    async def look(self, work: Callable[[Opened], T]) -> T:
        """Return what `work` reads in a thread of its own, which waits for no other request."""

        def using() -> T:
            with self.service.use() as opened:
                return work(opened)

        try:
            return await asyncio.to_thread(using)
        except GalleryError:
            if not await self.service.renew():
                raise
            return await asyncio.to_thread(using)


@dataclass(frozen=True, slots=True)
class Operation:
    """An endpoint.

    Attributes:
        method, path: `{id}` in a path stands for one segment.
        name: unique, for generated clients.
        about: one sentence.
        scope: of the token that it needs; None: it is open to everybody who may connect.
        answer_to: the function that answers.
        gives: dataclasses whose fields the JSON has together; text types instead for other content.
        options: dataclass of the query.
        takes: the body: an image, or JSON of this dataclass; None for none.
        has_deadline: it heeds the header `Deadline-Ms`.
        errors: further statuses that it may answer with.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    name: str
    about: str
    scope: Scope | None
    answer_to: Callable[[Call], Awaitable[Response]]
    gives: tuple[type, ...] | str = ()
    options: type = NoOptions
    takes: Literal["image"] | type | None = None
    has_deadline: bool = False
    errors: tuple[int, ...] = ()


def deadline_of(request: Request, usual_ms: float | None) -> Deadline | None:
    """Return the deadline that the header states, else the usual one.

    Raises:
        OptionError: it is not a positive number.
    """
    text = request.headers.get(DEADLINE)
    if text is None:
        return None if usual_ms is None else Deadline.after(usual_ms)
    try:
        ms = float(text)
    except ValueError:
        ms = math.nan
    if not 0 < ms < math.inf:
        raise OptionError(f"Deadline-Ms: expected a number of milliseconds above 0, found {text[:60]!r}")
    return Deadline.after(ms)
