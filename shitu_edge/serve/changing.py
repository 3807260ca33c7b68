"""Endpoints that change the gallery or, if there is one, its local layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from starlette.responses import Response

from ..errors import DamagedError, GalleryError
from ..gallery import GalleryItem
from ..gallery.labels import NEGATIVE, normal_label
from ..results import Box
from .answers import RefusedError, json_response
from .engines import Retry
from .opened import Opened
from .operations import Call, Operation
from .options import EnrollOptions, NegativeOptions


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A new gallery item. Its id is negative in a local layer, as in matches."""

    item_id: int
    label: str
    revision: int
    retried: Retry | None


@dataclass(frozen=True, slots=True)
class Changed:
    """The items that a change has met, as they were, and the revision that it made."""

    items: tuple[GalleryItem, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The revision that going back has made."""

    revision: int


@dataclass(frozen=True, slots=True)
class RemoveRequest:
    """Which items to remove: by ids, or all with a label, a source, or both."""

    ids: tuple[int, ...] | None = None
    label: str | None = None
    source: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class RenameRequest:
    """A label, and what it is to become; `merge` if there are items with that already."""

    label: str
    new_label: str
    merge: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """The revision whose content is to come back."""

    revision: int
    note: str = ""


async def enroll(call: Call) -> Response:
    """Add a product from an image."""
    options = call.options
    return await _enroll(call, _label(options.label), options.box, crop=options.crop)


async def enroll_negative(call: Call) -> Response:
    """Add something that is not a product."""
    return await _enroll(call, NEGATIVE, call.options.box, crop=False)


async def _enroll(call: Call, label: str, box: Box | None, *, crop: bool) -> Response:
    service, options = call.service, call.options
    image = await call.image(service.changing)

    def work(opened: Opened) -> Enrolled:
        number, retry = service.ask(
            opened,
            lambda one: one.enroll(
                label,
                image,
                box,
                crop=crop,
                picture=options.picture,
                source=options.source,
                author=call.caller,
                note=options.note,
            ),
        )
        return Enrolled(number if opened.local is None else -number, label, opened.changed.revision, retry)

    answer, _ = await call.run(service.changing, work)
    call.note = f"item {answer.item_id}, revision {answer.revision}"
    return json_response(answer)


async def remove(call: Call) -> Response:
    """Remove items."""
    given = await call.record(RemoveRequest)
    if (given.ids is None) == (given.label is None and given.source is None):
        raise RefusedError(422, "OptionError", "expected either ids, or a label or source, of the items to remove")

    def work(opened: Opened) -> Changed:
        found = _listed(opened)
        if given.ids is None:
            chosen = [item for item in found.values() if given.label in (None, item.label)]
            chosen = [item for item in chosen if given.source in (None, item.source)]
            if not chosen:
                raise RefusedError(404, "NotFoundError", "there is no such item")
        else:
            missing = [number for number in given.ids if number not in found]
            if missing or not given.ids:
                what = f"item {missing[0]}" if missing else "no item"
                raise RefusedError(404, "NotFoundError", f"{what} is not in {opened.changed}")
            chosen = [found[number] for number in dict.fromkeys(given.ids)]
        opened.changed.remove([abs(item.id) for item in chosen], author=call.caller, note=given.note)
        return Changed(tuple(chosen), opened.changed.revision)

    return await _changed(call, work)


async def rename(call: Call) -> Response:
    """Give a label's items another label."""
    given = await call.record(RenameRequest)
    label, new = _label(given.label), _label(given.new_label)

    def work(opened: Opened) -> Changed:
        gallery = opened.changed
        if not gallery.items(given.label):
            raise RefusedError(404, "NotFoundError", f"no item has the label {given.label!r}")
        if label == new:
            raise RefusedError(409, "GalleryError", f"{new!r} is the label already")
        if gallery.items(new) and not given.merge:
            raise RefusedError(409, "GalleryError", f"{new!r} has items already; merge: true joins them")
        items = gallery.rename(given.label, new, merge=given.merge, author=call.caller, note=given.note)
        return Changed(tuple(_signed(opened, item) for item in items), gallery.revision)

    return await _changed(call, work)


async def roll_back(call: Call) -> Response:
    """Bring the content of a revision back."""
    given = await call.record(RollbackRequest)

    def work(opened: Opened) -> RolledBack:
        gallery = opened.changed
        if not 1 <= given.revision <= gallery.revision:
            raise RefusedError(404, "NotFoundError", f"there is no revision {given.revision}")
        try:
            gallery.history.diff(given.revision, gallery.revision)
        except DamagedError:
            raise
        except GalleryError as error:
            raise RefusedError(409, "GalleryError", str(error)) from error
        return RolledBack(gallery.history.rollback(given.revision, author=call.caller, note=given.note))

    return await _changed(call, work)


async def _changed(call: Call, work: Callable[[Opened], Changed | RolledBack]) -> Response:
    answer, _ = await call.run(call.service.changing, work)
    call.note = f"revision {answer.revision}"
    return json_response(answer)


def _label(text: str) -> str:
    """Return a label in normal form; raises `RefusedError` (422)."""
    try:
        return normal_label(text, "label")
    except GalleryError as error:
        raise RefusedError(422, "GalleryError", str(error)) from error


def _listed(opened: Opened) -> dict[int, GalleryItem]:
    """Return the items that may be changed, by id: those of a local layer, if there is one, have negative ids."""
    return {item.id: item for item in (_signed(opened, one) for one in opened.changed.items())}


def _signed(opened: Opened, item: GalleryItem) -> GalleryItem:
    return item if opened.local is None else replace(item, id=-item.id)


OPERATIONS = (
    Operation(
        "POST",
        "/v1/enroll",
        "enroll",
        "Add a product from an image; it counts from the next request on.",
        scope="enroll",
        answer_to=enroll,
        gives=(Enrolled,),
        options=EnrollOptions,
        takes="image",
    ),
    Operation(
        "POST",
        "/v1/negative",
        "enroll_negative",
        "Add what is not a product, so that it is unknown from then on: a hand, a price tag.",
        scope="enroll",
        answer_to=enroll_negative,
        gives=(Enrolled,),
        options=NegativeOptions,
        takes="image",
    ),
    Operation(
        "POST",
        "/v1/remove",
        "remove",
        "Remove items by their ids, or all of a label or source.",
        scope="manage",
        answer_to=remove,
        gives=(Changed,),
        takes=RemoveRequest,
        errors=(404,),
    ),
    Operation(
        "POST",
        "/v1/rename",
        "rename",
        "Give all items of a label another one.",
        scope="manage",
        answer_to=rename,
        gives=(Changed,),
        takes=RenameRequest,
        errors=(404, 409),
    ),
    Operation(
        "POST",
        "/v1/rollback",
        "roll_back",
        "Restore the content of a revision as a new one.",
        scope="manage",
        answer_to=roll_back,
        gives=(RolledBack,),
        takes=RollbackRequest,
        errors=(404, 409),
    ),
)
