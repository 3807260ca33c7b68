"""JSON to frozen dataclasses, checked. Pure.

A file format is its dataclasses: values are checked against their type hints, and errors name place and expected kind.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from .errors import OptionError
from .ranges import named, shown

T = TypeVar("T")


class SchemaError(ValueError):
    """A value is missing, unknown, of the wrong kind or out of range. The message begins with its place."""


def build(cls: type[T], data: object) -> T:
    """Build a `cls` from parsed JSON.

    Raises:
        SchemaError: a key is missing or unknown, or a value is not of its field's type or outside its range.
    """
    return cast(T, _value(cls, data, ""))


@cache
def hints_of(cls: Any) -> dict[str, Any]:
    """Return the type hints of a dataclass's fields; kept, as reading them takes most of the time of `build`."""
    return get_type_hints(cls)


def _value(kind: Any, data: Any, place: str) -> Any:
    origin = get_origin(kind)
    if is_dataclass(kind):
        return _record(kind, data, place)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(kind), data, place)
    if origin is Literal:
        _expect(data in get_args(kind), f"one of {', '.join(map(repr, get_args(kind)))}", data, place)
        return data
    if origin is tuple:
        return _sequence(get_args(kind), data, place)
    if origin is not None and issubclass(origin, Mapping):
        _expect(isinstance(data, dict), "an object", data, place)
        return {key: _value(get_args(kind)[1], value, f"{place}.{named(key)}") for key, value in data.items()}
    if kind is float:
        number = isinstance(data, (int, float)) and not isinstance(data, bool)
        _expect(number and abs(data) <= sys.float_info.max, "a finite number", data, place)
        return float(data)
    expected = {int: "a whole number", str: "text", bool: "true or false", types.NoneType: "null"}[kind]
    _expect(type(data) is kind, expected, data, place)
    return data


def _record(cls: Any, data: Any, place: str) -> Any:
    _expect(isinstance(data, dict), "an object", data, place)
    hints = hints_of(cls)
    known = {field.name: field for field in fields(cls)}
    for key in data:
        if key not in known:
            raise SchemaError(f"{_join(place, key)}: unknown; expected one of {', '.join(known)}")
    values = {}
    for name, field in known.items():
        if name in data:
            values[name] = _value(hints[name], data[name], _join(place, name))
        elif field.default is MISSING and field.default_factory is MISSING:
            raise SchemaError(f"{_join(place, name)}: missing")
    try:
        return cls(**values)
    except OptionError as error:  # its message begins with the field's name
        raise SchemaError(f"{place}.{error}" if place else str(error)) from error


def _one_of(kinds: tuple[Any, ...], data: Any, place: str) -> Any:
    """Choose among records by their literal `layout`; the other unions here are of one kind and None."""
    if all(is_dataclass(kind) for kind in kinds):
        layouts = {get_args(get_type_hints(kind)["layout"])[0]: kind for kind in kinds}
        layout = data.get("layout") if isinstance(data, dict) else None
        _expect(
            isinstance(layout, str) and layout in layouts, f"a layout of {', '.join(map(repr, layouts))}", layout, place
        )
        return _record(layouts[layout], data, place)
    if data is None and types.NoneType in kinds:
        return None
    (kind,) = (kind for kind in kinds if kind is not types.NoneType)
    return _value(kind, data, place)


def _sequence(kinds: tuple[Any, ...], data: Any, place: str) -> tuple[Any, ...]:
    _expect(isinstance(data, (list, tuple)), "a list", data, place)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(data)
    _expect(len(data) == len(kinds), f"a list of {len(kinds)}", data, place)
    return tuple(_value(kind, item, f"{place}[{i}]") for i, (kind, item) in enumerate(zip(kinds, data, strict=True)))


def _expect(condition: bool, expected: str, found: Any, place: str) -> None:
    if not condition:
        raise SchemaError(f"{place or 'the file'}: expected {expected}, found {shown(found)}")


def _join(place: str, key: str) -> str:
    return f"{place}.{named(key)}" if place else named(key)
