"""The description of all endpoints as OpenAPI 3.1, made of the operations that answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from .. import __version__
from .answers import SCHEMA_VERSION, ErrorAnswer
from .bodies import IMAGE_TYPES, JSON_TYPE
from .operations import Operation
from .options import facts_of, kind_of
from .schemas import Components, Schema

_ERRORS = {
    400: "The request has no Host, or is not HTTP.",
    401: "A token is missing, wrong or was replaced.",
    403: "The token, host or origin does not allow this.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "That does not fit the present state.",
    413: "The body is too large.",
    415: "The body is of another kind.",
    422: "An option, the JSON or the image cannot be used.",
    503: "Not now, or not in time; see Retry-After.",
}
_VERSION = {"type": "integer", "const": SCHEMA_VERSION}
_SECURITY = "token"


def description(operations: Iterable[Operation]) -> Schema:
    """Return the OpenAPI document."""
    components = Components()
    paths: dict[str, Any] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, components)
    schemas = dict(sorted(components.schemas.items()))
    return {
        "openapi": "3.1.0",
        "info": {"title": "shitu-edge", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {_SECURITY: {"type": "http", "scheme": "bearer"}}},
    }


def _operation(one: Operation, components: Components) -> Schema:
    found: Schema = {"operationId": one.name, "summary": one.about, "responses": _responses(one, components)}
    parameters = [*_path(one), *_query(one), *_headers(one)]
    if parameters:
        found["parameters"] = parameters
    if one.takes is not None:
        found["requestBody"] = {"required": True, "content": _body(one.takes, components)}
    if one.scope is not None:
        found["security"] = [{_SECURITY: [one.scope]}, *([{}] if one.scope == "recognize" else [])]
    return found


def _responses(one: Operation, components: Components) -> Schema:
    statuses = {400, 403, *one.errors}
    if one.scope is not None:
        statuses |= {401, 503}
    if one.takes is not None:
        statuses |= {408, 413, 415}
    error = _versioned((ErrorAnswer,), components)
    found = {"200": {"description": "Done.", "content": _content(one, components)}}
    if one.name == "readyz":
        found["503"] = {"description": "Not ready.", "content": _content(one, components)}
    for status in sorted({*statuses, 422}):
        found.setdefault(str(status), {"description": _ERRORS[status], "content": {JSON_TYPE: {"schema": error}}})
    return found


def _content(one: Operation, components: Components) -> Schema:
    if isinstance(one.gives, str):
        return {one.gives.partition(";")[0]: {"schema": {"type": "string"}}}
    return {JSON_TYPE: {"schema": _versioned(one.gives, components)}}


def _versioned(kinds: tuple[type, ...], components: Components) -> Schema:
    """Return the schema of JSON with the keys of several dataclasses and the schema version."""
    version = {"type": "object", "properties": {"schema_version": _VERSION}, "required": ["schema_version"]}
    return {"allOf": [version, *(components.of(kind) for kind in kinds)]}


def _body(takes: Any, components: Components) -> Schema:
    if takes == "image":
        binary = {"schema": {"type": "string", "format": "binary"}}
        return dict.fromkeys(IMAGE_TYPES, binary)
    return {JSON_TYPE: {"schema": components.of(takes, given=True)}}


def _path(one: Operation) -> list[Schema]:
    schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
    return [
        {"name": name, "in": "path", "required": True, "schema": schema} for name in re.findall(r"{(\w+)}", one.path)
    ]


def _query(one: Operation) -> list[Schema]:
    hints, facts = get_type_hints(one.options), facts_of(one.options)
    found = []
    for field in fields(one.options):
        about, kind = facts[field.name], kind_of(hints[field.name])
        range_ = {"minimum": about.low, "maximum": about.high}
        schema = _of_kind(kind) | {key: value for key, value in range_.items() if value is not None}
        if field.default not in (MISSING, None, ""):
            schema["default"] = field.default
        parameter: Schema = {"name": field.name, "in": "query", "description": about.text, "schema": schema}
        parameter["required"] = field.default is MISSING
        found.append(parameter | ({"style": "form", "explode": False} if kind == "box" else {}))
    return found


def _of_kind(kind: Any) -> Schema:
    if isinstance(kind, tuple):
        return {"enum": list(kind)}
    if kind == "box":
        return {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
    names = {"text": "string", "flag": "boolean", "whole": "integer", "number": "number"}
    return {"type": names[kind]}


def _headers(one: Operation) -> list[Schema]:
    if not one.has_deadline:
        return []
    about = "Milliseconds from now until which the answer is of use. What cannot be answered in time is refused (503)."
    schema = {"type": "number", "exclusiveMinimum": 0}
    return [{"name": "Deadline-Ms", "in": "header", "required": False, "description": about, "schema": schema}]
