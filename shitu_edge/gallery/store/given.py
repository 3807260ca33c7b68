"""Checks of arguments: whole numbers, text, settings, ids, embeddings, origins, paths. Each raises `GalleryError`.

NumPy's numbers count as Python's; truth values are not numbers, and 2.0 is not 2.
"""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ...errors import GalleryError
from ...ranges import shown
from ...results import Box
from .records import Crop, Origin
from .schema import MOST_NAME, MOST_PICTURE, MOST_TEXT, MOST_VALUE, SETTING_NAME

_ANY = 1 << 128
"""Larger numbers may have too many digits to be shown."""
_CROPS = get_args(Crop)
_SIGNATURE = re.compile(rb"\xff\xd8\xff|RIFF.{4}WEBP", re.DOTALL)
"""Beginning of a JPEG or a WebP file."""


def whole(value: Any, expected: str, least: int = -_ANY, most: int = _ANY) -> int:
    """Return a whole number from `least` to `most`; `expected` names it in the error."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise _unexpected(expected, value) from None
    if not least <= number <= most:
        raise _unexpected(expected, number)
    return number


def text(value: Any, what: str) -> str:
    """Return a text of at most `MOST_TEXT` bytes."""
    if not isinstance(value, str):
        raise _unexpected(f"{what} as text", value)
    size = len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
    if size > MOST_TEXT:
        raise GalleryError(f"expected {what} of at most {MOST_TEXT} bytes, found {size}")
    return str(value)


def unicode_text(value: Any, what: str) -> str:
    """Return a text of at most `MOST_TEXT` bytes that is valid Unicode."""
    found = text(value, what)
    try:
        found.encode()
    except UnicodeEncodeError:
        raise _unexpected(f"{what} as Unicode text", value) from None
    return found


def setting_name(value: Any) -> str:
    """Return the name of a setting."""
    if not isinstance(value, str) or not SETTING_NAME.fullmatch(value):
        raise _unexpected(f"a setting's name of at most {MOST_NAME} characters a-z, 0-9, _ and /", value)
    return str(value)


def setting_value(value: Any) -> bytes:
    """Return the value of a setting."""
    if not isinstance(value, bytes):
        raise _unexpected("a setting's value as bytes", value)
    if len(value) > MOST_VALUE:
        raise GalleryError(f"expected a setting's value of at most {MOST_VALUE} bytes, found {len(value)}")
    return bytes(value)


def each(values: Any, expected: str) -> Iterator[Any]:
    """Return an iterator over a list or other iterable."""
    try:
        return iter(values)
    except TypeError:
        raise _unexpected(expected, values) from None


def item_ids(values: Any) -> list[int]:
    """Return ids in their order; they need not exist."""
    if isinstance(values, (str, bytes, bytearray)):
        raise _unexpected("ids in a list", values)
    values = id_array(values) if isinstance(values, np.ndarray) else each(values, "ids in a list")
    return [whole(value, "an id as a whole number") for value in values]


def id_array(values: Any) -> NDArray[np.int64]:
    """Return ids as an array; see `item_ids`."""
    try:
        ids = np.asarray(values)
    except (TypeError, ValueError):
        raise _unexpected("ids in a list", values) from None
    whole_numbers = ids.dtype.kind in "iu" and (ids.dtype.kind == "i" or not (ids >> np.uint64(63)).any())
    if ids.ndim != 1 or not (whole_numbers or ids.size == 0):
        raise _unexpected("ids in a list, each a whole number", values)
    return ids.astype(np.int64)


def numbers(values: Any, expected: str) -> NDArray[Any]:
    """Return an array or list of numbers as an array."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        raise _unexpected(expected, values) from None
    if array.dtype.kind not in "fiu":
        raise GalleryError(f"expected {expected}, found {array.dtype} {array.shape}")
    return array


def origin(value: Any) -> Origin:
    """Return an item's origin, with boxes of Python's numbers."""
    instance(value, Origin)
    found: Origin = value
    if not isinstance(value.crop, str) or value.crop not in _CROPS:
        raise _unexpected(f"an origin's crop as one of {', '.join(map(repr, _CROPS))}", value.crop)
    digest = value.source_sha256
    if not isinstance(digest, str) or not re.fullmatch("([0-9a-f]{64})?", digest):
        raise _unexpected("an origin's source_sha256 as 64 hexadecimal digits or none", digest)
    box, product = _box(value.box_xyxy, "box_xyxy"), _box(value.product_xyxy, "product_xyxy")
    picture = _picture(value.picture)
    if product and not picture:
        raise GalleryError("expected an origin's picture with its product_xyxy, found no picture")
    return replace(found, box_xyxy=box, picture=picture, product_xyxy=product)


def _box(value: Any, name: str) -> Box | None:
    if value is None:
        return None
    expected = f"an origin's {name} as four finite numbers, left < right and top < bottom"
    sides = numbers(value, expected)
    if sides.shape != (4,) or not np.isfinite(sides).all():
        raise _unexpected(expected, value)
    left, top, right, bottom = map(float, sides)
    if not (left < right and top < bottom):
        raise _unexpected(expected, (left, top, right, bottom))
    return left, top, right, bottom


def _picture(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise _unexpected("an origin's picture as bytes", value)
    if len(value) > MOST_PICTURE:
        raise GalleryError(f"expected an origin's picture of at most {MOST_PICTURE} bytes, found {len(value)}")
    if value and not _SIGNATURE.match(value):
        raise _unexpected("an origin's picture as a JPEG or WebP file", value[:12])
    return bytes(value)


def file_path(value: Any) -> Path:
    """Return the path of a file."""
    try:
        name = os.fspath(value)
    except TypeError:
        raise _unexpected("a path", value) from None
    if not isinstance(name, str) or "\0" in name:
        raise _unexpected("a path as text", value)
    return Path(name)


def truth(value: Any, what: str) -> bool:
    """Return a truth value."""
    if not isinstance(value, (bool, np.bool_)):
        raise _unexpected(f"{what} to be true or false", value)
    return bool(value)


def instance(value: Any, kind: type) -> None:
    """Check that a value is an instance of a class."""
    if not isinstance(value, kind):
        raise _unexpected(kind.__name__, value)


def _unexpected(expected: str, found: object) -> GalleryError:
    return GalleryError(f"expected {expected}, found {' '.join(shown(found).split())}")
