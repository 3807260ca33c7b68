"""Options of a command, taken from the fields of a dataclass: name, type, default, limits and help are written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from functools import wraps
from types import GenericAlias
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from typer.models import ParameterInfo

Command = Callable[..., None]

_KEYWORD, _NONE = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty


def options_of(source: type, *names: str) -> Callable[[Command], Command]:
    """Give a typer command the fields of a dataclass that are annotated with `typer.Option` or `typer.Argument`.

    The command takes their values as `**given`; `--help` lists them after what the command itself requires. A field of
    type `tuple[T, ...]` may be given several times.

    Args:
        source: the dataclass.
        names: the fields to take; all of them if none is named.
    """
    hints = get_type_hints(source, include_extras=True)
    added = [
        _parameter(field, *get_args(hints[field.name]))
        for field in fields(source)
        if any(isinstance(extra, ParameterInfo) for extra in get_args(hints[field.name]))
        and field.name in (names or hints)
    ]

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [one.replace(kind=_KEYWORD) for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        required = [one for one in own if one.default is _NONE]
        parameters = [*required, *added, *(one for one in own if one not in required)]

        @wraps(command)
        def run(**given: Any) -> None:
            repeated = {one.name: tuple(given[one.name]) for one in added if isinstance(given[one.name], list)}
            command(**given | repeated)

        run.__dict__["__signature__"] = inspect.Signature(parameters)
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate


def _parameter(field: Field[Any], kind: Any, info: ParameterInfo) -> inspect.Parameter:
    default = _NONE if field.default is MISSING else field.default
    if get_origin(kind) is tuple:
        kind = GenericAlias(list, get_args(kind)[:1])
    return inspect.Parameter(field.name, _KEYWORD, default=default, annotation=Annotated[kind, info])
