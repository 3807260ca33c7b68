"""Dataclasses as JSON Schema, for OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .answers import shown_fields

Schema = dict[str, Any]

_SIMPLE: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
}


class Components:
    """The schemas of dataclasses, by name, as far as they were asked for."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}

    def of(self, kind: Any, *, given: bool = False) -> Schema:
        """Return the schema of a type; a dataclass becomes a component, and the schema refers to it.

        Args:
            kind: a dataclass, number, text, flag, None, `Literal`, tuple, mapping, or union of them.
            given: by a caller: keys with a default may be left out, and others than those of the dataclass are refused.
        """
        origin, arguments = get_origin(kind), get_args(kind)
        if is_dataclass(kind):
            return self._record(kind, given)
        if origin in (Union, UnionType):
            return {"anyOf": [self.of(one, given=given) for one in arguments]}
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin is tuple:
            return self._sequence(arguments, given)
        if origin is not None and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1], given=given)}
        return dict(_SIMPLE[kind])

    def _record(self, kind: Any, given: bool) -> Schema:
        name = kind.__name__
        if name not in self.schemas:
            self.schemas[name] = {}  # a record may hold itself
            hints = get_type_hints(kind)
            shown = [one for one in fields(kind) if one.name in shown_fields(kind)]
            schema: Schema = {
                "type": "object",
                "description": _first_line(kind),
                "properties": {one.name: self.of(hints[one.name], given=given) for one in shown},
            }
            needed = [
                one.name for one in shown if not given or (one.default is MISSING and one.default_factory is MISSING)
            ]
            if needed:
                schema["required"] = needed
            if given:
                schema["additionalProperties"] = False
            self.schemas[name] = schema
        return {"$ref": f"#/components/schemas/{name}"}

    def _sequence(self, kinds: tuple[Any, ...], given: bool) -> Schema:
        if len(kinds) == 2 and kinds[1] is Ellipsis:
            return {"type": "array", "items": self.of(kinds[0], given=given)}
        return {
            "type": "array",
            "items": self.of(kinds[0], given=given),
            "minItems": len(kinds),
            "maxItems": len(kinds),
        }


def _first_line(kind: Any) -> str:
    return (kind.__doc__ or "").partition("\n")[0]
