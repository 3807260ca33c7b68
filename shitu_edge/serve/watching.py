"""Endpoints of streams: frames in, steady baskets and events out."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.responses import Response, StreamingResponse

from ..results.stream import StreamAnswer
from .answers import RefusedError, json_response
from .engines import Retry
from .events import CONTENT_TYPE
from .opened import Opened
from .operations import Call, Operation
from .options import FrameOptions
from .recognition import Retried
from .streams import LiveStream, StreamFacts

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
LAST_ID = "last-event-id"


@dataclass(frozen=True, slots=True)
class StreamList:
    """The streams, by name."""

    streams: tuple[StreamFacts, ...]


async def feed(call: Call) -> Response:
    """Take the next frame of a stream, which begins with its first."""
    service = call.service
    stream = service.streams.open(_name(call), service.configuration.max_streams)
    if stream.owned:
        raise RefusedError(409, "RequestError", f"the server feeds stream {stream.name} itself")
    stream.begin()
    try:
        image = await call.image(service.recognizing)

        def work(opened: Opened) -> tuple[StreamAnswer, Retry | None]:
            return service.feed(stream, opened, image, call.options.at_s)

        (answer, retry), done = await call.run(service.recognizing, work)
    except BaseException:
        service.metrics.frames.labels("refused").inc()
        raise
    finally:
        stream.end()
    stream.answered(answer)
    service.metrics.waited.observe(done.waited_ms / 1000)
    call.note = f"stream {stream.name}, {sum(answer.basket.values())} things named"
    return json_response(answer, Retried(retry))


async def read_events(call: Call) -> Response:
    """Send the events of a stream as they happen."""
    service = call.service
    stream = service.streams.open(_name(call), service.configuration.max_streams)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    if call.request.method == "HEAD":
        return Response(media_type=CONTENT_TYPE, headers=headers)
    reader = stream.read(call.request.headers.get(LAST_ID), call.request.state.cut)

    async def contents() -> AsyncIterator[bytes]:
        try:
            async for content in reader.contents():
                yield content
        finally:
            stream.leave(reader)

    return StreamingResponse(contents(), media_type=CONTENT_TYPE, headers=headers)


async def list_streams(call: Call) -> Response:
    """Answer with all streams."""
    found = tuple(one.facts for one in call.service.streams.all())
    return json_response(StreamList(found))


async def show_stream(call: Call) -> Response:
    """Answer with a stream at a glance."""
    found: LiveStream = call.service.streams.get(_name(call))
    return json_response(found.facts)


async def end_stream(call: Call) -> Response:
    """End a stream."""
    return json_response(call.service.streams.end(_name(call)))


def _name(call: Call) -> str:
    name = str(call.request.path_params["id"])
    if not NAME.fullmatch(name):
        raise RefusedError(422, "OptionError", "stream: expected a name of 1 to 64 letters, digits, - and _")
    return name


OPERATIONS = (
    Operation(
        "POST",
        "/v1/streams/{id}/frames",
        "feed",
        "Take the next frame of a stream, and answer with its events and its steady basket.",
        "recognize",
        feed,
        (StreamAnswer, Retried),
        FrameOptions,
        "image",
        has_deadline=True,
        errors=(409,),
    ),
    Operation(
        "GET",
        "/v1/streams/{id}/events",
        "read_events",
        "Send the events of a stream as they happen (server-sent events; Last-Event-ID is heeded).",
        "recognize",
        read_events,
        CONTENT_TYPE,
    ),
    Operation("GET", "/v1/streams", "list_streams", "List the streams.", "recognize", list_streams, (StreamList,)),
    Operation(
        "GET",
        "/v1/streams/{id}",
        "show_stream",
        "Show a stream at a glance.",
        "recognize",
        show_stream,
        (StreamFacts,),
        errors=(404,),
    ),
    Operation(
        "DELETE",
        "/v1/streams/{id}",
        "end_stream",
        "End a stream and its readers.",
        "recognize",
        end_stream,
        (StreamFacts,),
        errors=(404, 409),
    ),
)
