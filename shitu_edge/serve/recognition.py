"""Endpoints that look at an image: recognize, verify, search."""

from __future__ import annotations

from dataclasses import dataclass, fields

from starlette.responses import Response

from ..errors import ShituError
from ..recognizer import Recognizer
from ..results import Box, Match, Recognition, Verification
from .answers import RefusedError, json_response
from .engines import Retry
from .opened import Opened
from .operations import Call, Operation
from .options import RecognizeOptions, SearchOptions, VerifyOptions


@dataclass(frozen=True, slots=True)
class RecognizeFacts:
    """What the answer to an image has besides.

    Attributes:
        retried: the engine that failed, if the other one has answered.
        explanation: lines for people; None unless they were asked for.
    """

    retried: Retry | None
    explanation: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Retried:
    """What every answer that needed an engine has.

    `retried` is the engine that failed, if the other one has answered.
    """

    retried: Retry | None


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """The gallery items nearest to an image, best first."""

    matches: tuple[Match, ...]
    retried: Retry | None


async def recognize(call: Call) -> Response:
    """Answer with what an image shows."""
    service, options = call.service, call.options
    image = await call.image(service.recognizing)
    given = {one.name: getattr(options, one.name) for one in fields(options) if one.name != "explain"}

    def seen(recognizer: Recognizer) -> Recognition:
        left_ms = None if call.deadline is None else max(call.deadline.left_ms, 0.0)
        return recognizer.recognize(image, deadline_ms=left_ms, **given)

    def work(opened: Opened) -> tuple[Recognition, Retry | None]:
        return service.ask(opened, seen)

    (answer, retry), done = await call.run(service.recognizing, work)
    service.metrics.recognized(answer)
    service.metrics.waited.observe(done.waited_ms / 1000)
    accepted = sum(item.decision == "accepted" for item in answer.items)
    call.note = f"{len(answer.items)} items, {accepted} accepted, waited {done.waited_ms:.1f} ms"
    explanation = answer.explain() if options.explain else None
    return json_response(answer, RecognizeFacts(retry, explanation))


async def verify(call: Call) -> Response:
    """Answer whether an image shows the product of a label."""
    service, options = call.service, call.options
    image = await call.image(service.recognizing)

    def work(opened: Opened) -> tuple[Verification, Retry | None]:
        require_label(opened, options.label)
        rate = options.max_false_accept
        return service.ask(
            opened, lambda one: one.verify(options.label, image, options.box, crop=options.crop, max_false_accept=rate)
        )

    (answer, retry), _ = await call.run(service.recognizing, work)
    call.note = answer.decision
    return json_response(answer, Retried(retry))


async def search(call: Call) -> Response:
    """Answer with the gallery items nearest to an image."""
    service, options = call.service, call.options
    image = await call.image(service.recognizing)
    boxes: list[Box] | None = None if options.box is None else [options.box]

    def work(opened: Opened) -> tuple[tuple[Match, ...], Retry | None]:
        found, retry = service.ask(opened, lambda one: one.nearest(image, boxes, crop=options.crop, k=options.k))
        return found[0], retry

    (matches, retry), _ = await call.run(service.recognizing, work)
    return json_response(SearchAnswer(matches, retry))


def require_label(opened: Opened, label: str) -> None:
    """Check that the gallery or the local layer has a label; raises `RefusedError` (404)."""
    layers = [opened.gallery] if opened.local is None else [opened.gallery, opened.local]
    try:
        found = any(layer.items(label) for layer in layers)
    except ShituError as error:
        raise RefusedError(503, type(error).__name__, str(error), retry_after_ms=1000) from error
    if not found:
        raise RefusedError(404, "NotFoundError", f"no item has the label {label!r}; enroll the product first")


OPERATIONS = (
    Operation(
        "POST",
        "/v1/recognize",
        "recognize",
        "Say which products an image shows, where, how sure, and what it does not know.",
        "recognize",
        recognize,
        (Recognition, RecognizeFacts),
        RecognizeOptions,
        "image",
        has_deadline=True,
    ),
    Operation(
        "POST",
        "/v1/verify",
        "verify",
        "Say whether an image shows the product of a label: after a barcode was scanned.",
        "recognize",
        verify,
        (Verification, Retried),
        VerifyOptions,
        "image",
        has_deadline=True,
        errors=(404,),
    ),
    Operation(
        "POST",
        "/v1/search",
        "search",
        "List the gallery items nearest to an image of one product.",
        "recognize",
        search,
        (SearchAnswer,),
        SearchOptions,
        "image",
        has_deadline=True,
    ),
)
