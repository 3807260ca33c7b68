"""Query parameters as frozen dataclasses: their names, types, ranges and meaning in one place."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ..bundle import WholeImage
from ..errors import OptionError
from ..ranges import require_number
from ..results import Box
from ..schema import SchemaError, build, hints_of
from ..stages.decode import DecodeMode

T = TypeVar("T")

_WHOLE = re.compile(r"-?\d{1,18}")
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?([eE][-+]?\d{1,2})?")


@dataclass(frozen=True, slots=True)
class About:
    """The meaning of a parameter and its range, for OpenAPI; beside its type in `Annotated`."""

    text: str
    low: float | None = None
    high: float | None = None


_BOX = "The part of the image that shows the product: x1,y1,x2,y2 in its pixels. Default: what the detector finds."


@dataclass(frozen=True, slots=True)
class NoOptions:
    """An endpoint without query parameters."""


@dataclass(frozen=True, slots=True)
class RecognizeOptions:
    """Values of one call; see `Recognizer.recognize`."""

    max_boxes: Annotated[int | None, About("Detections to look at, best first. Default: the bundle's.", low=1)] = None
    detection_threshold: Annotated[
        float | None, About("Lowest detection score. Default: the bundle's.", low=0, high=1)
    ] = None
    threshold: Annotated[
        float | None, About("Lowest similarity that names a product. Default: derived.", low=-1, high=1)
    ] = None
    margin: Annotated[
        float | None, About("Required lead over the runner-up. Default: the bundle's.", low=0, high=2)
    ] = None
    neighbors: Annotated[int | None, About("Nearest items that decide. Default: the bundle's.", low=1, high=1000)] = (
        None
    )
    vote: Annotated[bool | None, About("Decide by all neighbors of a label together. Default: the bundle's.")] = None
    suppression_iou: Annotated[
        float | None, About("Overlap above which the weaker item is dropped.", low=0, high=1)
    ] = None
    whole_image: Annotated[WholeImage | None, About("Whether the image as a whole counts. Default: the bundle's.")] = (
        None
    )
    max_false_accept: Annotated[
        float | None, About("Largest share of unknown objects that get a label.", low=0, high=1)
    ] = None
    confidence: Annotated[float | None, About("Keep that share with this confidence.", low=0, high=1)] = None
    decode_mode: Annotated[DecodeMode, About("Decode every pixel, or large JPEGs reduced.")] = "auto"
    explain: Annotated[bool, About("Add lines for people: what each box resembles, and what was required.")] = False


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """See `Recognizer.verify`."""

    label: Annotated[str, About("The claimed label.")]
    box: Annotated[Box | None, About(_BOX)] = None
    crop: Annotated[bool, About("Without a box: false for the whole image.")] = True
    max_false_accept: Annotated[float | None, About("Largest share of other products accepted.", low=0, high=1)] = None


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """See `Recognizer.nearest`."""

    k: Annotated[int, About("Number of gallery items.", low=1, high=1000)] = 5
    box: Annotated[Box | None, About(_BOX)] = None
    crop: Annotated[bool, About("Without a box: false for the whole image.")] = True


@dataclass(frozen=True, slots=True)
class NegativeOptions:
    """See `Recognizer.enroll`."""

    box: Annotated[
        Box | None, About("The part that is not a product: x1,y1,x2,y2 in pixels. Default: the whole image.")
    ] = None
    picture: Annotated[bool, About("Keep a small picture in the gallery.")] = True
    source: Annotated[str, About("Where the image came from, kept with the item.")] = ""
    note: Annotated[str, About("Reason, for the gallery's log.")] = ""


@dataclass(frozen=True, slots=True)
class EnrollOptions:
    """See `Recognizer.enroll`."""

    label: Annotated[str, About("The product's label.")]
    box: Annotated[Box | None, About(_BOX)] = None
    crop: Annotated[bool, About("Without a box: false for the whole image.")] = True
    picture: Annotated[bool, About("Keep a small picture in the gallery.")] = True
    source: Annotated[str, About("Where the image came from, kept with the item.")] = ""
    note: Annotated[str, About("Reason, for the gallery's log.")] = ""


@dataclass(frozen=True, slots=True)
class ItemsOptions:
    """A page of items."""

    label: Annotated[str | None, About("Items of this label alone.")] = None
    skip: Annotated[int, About("Number of items to leave out first.", low=0, high=1 << 53)] = 0
    most: Annotated[int, About("Number of items.", low=1, high=10_000)] = 1000


@dataclass(frozen=True, slots=True)
class LogOptions:
    """A part of the log."""

    most: Annotated[int, About("Number of revisions, newest first.", low=1, high=10_000)] = 100


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """See `Recognizer.calibration`."""

    max_false_accept: Annotated[
        float | None, About("Largest share of unknown objects that get a label.", low=0, high=1)
    ] = None
    confidence: Annotated[float | None, About("Keep that share with this confidence.", low=0, high=1)] = None


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """See `Stream.feed`."""

    at_s: Annotated[
        float | None, About("Time stamp in seconds, of any clock. Default: the server's.", low=-1e12, high=1e12)
    ] = None


def parse(kind: type[T], query: Sequence[tuple[str, str]]) -> T:
    """Return query parameters as an instance of `kind`.

    Raises:
        OptionError: a parameter is missing, unknown, given twice, of the wrong kind or out of range.
    """
    cached: Any = kind  # a type is hashable, which mypy does not see
    hints = hints_of(cached)
    values: dict[str, Any] = {}
    for name, text in query:
        if name in values:
            raise OptionError(f"{name}: given twice")
        values[name] = _value(hints.get(name, str), text)
    try:
        found = build(kind, values)
    except SchemaError as error:
        raise OptionError(str(error)) from error
    for name, about in facts_of(cached).items():
        value = getattr(found, name)
        if value is not None and about.low is not None:
            require_number(name, value, about.low, math.inf if about.high is None else about.high)
    return found


@cache
def facts_of(kind: Any) -> dict[str, About]:
    """Return the meaning of each parameter, by name."""
    return {name: get_args(hint)[1] for name, hint in get_type_hints(kind, include_extras=True).items()}


def _value(hint: Any, text: str) -> Any:
    """Return text as the JSON value that a field takes, or as it is if it is none; `build` says what is wrong."""
    kind = _without_none(hint)
    if get_origin(kind) is tuple:
        return [_value(float, part) for part in text.split(",")]
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    if kind is int and _WHOLE.fullmatch(text):
        return int(text)
    if kind is float and _NUMBER.fullmatch(text):
        return float(text)
    return text


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    return hint


def kind_of(hint: Any) -> Literal["box", "text", "flag", "whole", "number"] | tuple[str, ...]:
    """Return the kind of a parameter, or its choices."""
    kind = _without_none(hint)
    if get_origin(kind) is Literal:
        return get_args(kind)
    if get_origin(kind) is tuple:
        return "box"
    kinds: dict[Any, Literal["text", "flag", "whole", "number"]] = {
        str: "text",
        bool: "flag",
        int: "whole",
        float: "number",
    }
    return kinds[kind]
