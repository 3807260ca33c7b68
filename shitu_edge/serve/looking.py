"""Endpoints that look into the gallery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from starlette.responses import Response

from ..gallery import GalleryInfo, GalleryItem, Revision
from ..results import Calibration
from .answers import json_response
from .opened import Opened
from .operations import Call, Operation
from .options import CalibrationOptions, ItemsOptions, LogOptions


@dataclass(frozen=True, slots=True)
class Labels:
    """The number of items per label."""

    labels: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Items:
    """A page of items, by id, and how many there are in all."""

    items: tuple[GalleryItem, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Log:
    """Revisions, the newest first."""

    revisions: tuple[Revision, ...]


@dataclass(frozen=True, slots=True)
class Galleries:
    """The gallery at a glance, and its local layer."""

    gallery: GalleryInfo
    local: GalleryInfo | None


@dataclass(frozen=True, slots=True)
class CalibrationAnswer:
    """From which score a product is named; None if no rate is stated."""

    calibration: Calibration | None


async def list_labels(call: Call) -> Response:
    """Answer with the labels."""

    def work(opened: Opened) -> dict[str, int]:
        counts = opened.gallery.label_counts()
        for label, count in ({} if opened.local is None else opened.local.label_counts()).items():
            counts[label] = counts.get(label, 0) + count
        return counts

    return json_response(Labels(await call.look(work)))


async def list_items(call: Call) -> Response:
    """Answer with a page of items."""
    options = call.options

    def work(opened: Opened) -> Items:
        found = opened.gallery.items(options.label)
        if opened.local is not None:
            found += [replace(item, id=-item.id) for item in opened.local.items(options.label)]
        return Items(tuple(found[options.skip : options.skip + options.most]), len(found))

    return json_response(await call.look(work))


async def show_log(call: Call) -> Response:
    """Answer with the newest revisions of what changes go to."""
    found = await call.look(lambda opened: opened.changed.history.log()[: call.options.most])
    return json_response(Log(tuple(found)))


async def show_gallery(call: Call) -> Response:
    """Answer with the gallery at a glance."""
    found = await call.look(
        lambda opened: Galleries(opened.gallery.info(), None if opened.local is None else opened.local.info())
    )
    return json_response(found)


async def show_calibration(call: Call) -> Response:
    """Answer with the calibration."""
    options = call.options
    found = await call.look(lambda opened: opened.recognizer.calibration(options.max_false_accept, options.confidence))
    return json_response(CalibrationAnswer(found))


OPERATIONS = (
    Operation(
        "GET",
        "/v1/labels",
        "list_labels",
        "List the labels, with the number of items of each.",
        scope="recognize",
        answer_to=list_labels,
        gives=(Labels,),
    ),
    Operation(
        "GET",
        "/v1/items",
        "list_items",
        "List items by id, a page at a time.",
        scope="recognize",
        answer_to=list_items,
        gives=(Items,),
        options=ItemsOptions,
    ),
    Operation(
        "GET",
        "/v1/log",
        "show_log",
        "List the gallery's revisions, newest first.",
        scope="recognize",
        answer_to=show_log,
        gives=(Log,),
        options=LogOptions,
    ),
    Operation(
        "GET",
        "/v1/gallery",
        "show_gallery",
        "Show the gallery at a glance.",
        scope="recognize",
        answer_to=show_gallery,
        gives=(Galleries,),
    ),
    Operation(
        "GET",
        "/v1/calibration",
        "show_calibration",
        "Show from which score a product is named, for the rate given or the gallery's own.",
        scope="recognize",
        answer_to=show_calibration,
        gives=(CalibrationAnswer,),
        options=CalibrationOptions,
    ),
)
