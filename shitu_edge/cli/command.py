"""What all commands share: `-h`, `-v`, `-q`, and a GALLERY that `$SHITU_EDGE_GALLERY` can stand for."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from enum import EnumMeta
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand
from typer.models import OptionInfo

from ..imaging.formats import HEAD_BYTES
from ..system.files import open_regular
from .printing import be_quiet, be_verbose

GALLERY_VARIABLE = "SHITU_EDGE_GALLERY"
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"]}

_METAVARS = {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH"}
_SUFFIX = ".gallery"
_SQLITE = b"SQLite format 3\0"


def _verbose(wanted: bool) -> None:
    if wanted:
        be_verbose()


def _quiet(wanted: bool) -> None:
    if wanted:
        be_quiet()


Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", callback=_verbose, is_eager=True, help="Log each step to stderr."),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", callback=_quiet, is_eager=True, help="Print errors only: no progress, no warnings."),
]
COMMON = {"verbose": Verbose, "quiet": Quiet}


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command that also takes `-v` and `-q`, which their callbacks act on."""

    @wraps(function)
    def run(**options: Any) -> None:
        function(**{name: value for name, value in options.items() if name not in COMMON})

    hints = get_type_hints(function, include_extras=True)
    for hint in hints.values():
        _name_type(hint)
    own = inspect.signature(function)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [one.replace(annotation=hints[one.name]) for one in own.parameters.values()]
    parameters += [inspect.Parameter(name, keyword, default=False, annotation=kind) for name, kind in COMMON.items()]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = hints | COMMON
    return run


def _name_type(hint: Any) -> None:
    """Give an option the metavar of its type, unless it has one."""
    kind, *infos = get_args(hint) or (hint,)
    kind = next((one for one in get_args(kind) or (kind,) if one is not type(None)), kind)
    for info in infos:
        if isinstance(info, OptionInfo) and info.metavar is None and kind is not bool:
            info.metavar = "|".join(kind.__members__) if isinstance(kind, EnumMeta) else _METAVARS.get(kind)


class Command(TyperCommand):
    """A command with its arguments in the usage line as they are typed: `GALLERY IMAGES...`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        argument: Any
        for argument in self.params:
            if argument.param_type_name == "argument":
                argument.display_type_rich = lambda **_: None  # else the help says `IMAGES <list[str]>`

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the command's name."""
        arguments = [param for param in self.params if param.param_type_name == "argument"]
        return ["[OPTIONS]", *map(usage_of, arguments)]


def usage_of(argument: Any) -> str:
    """Return an argument as in a usage line: `A`, `[B]`, `ID...` or `[ID...]`."""
    word = f"{argument.metavar}{'' if argument.nargs == 1 else '...'}"
    return word if argument.required else f"[{word}]"


class GalleryCommand(Command):
    """A command whose first argument is GALLERY.

    While `$SHITU_EDGE_GALLERY` is set, GALLERY may be left out. It is taken from the variable where there are too few
    arguments without it, and where more arguments could follow and the first one is not a gallery.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the variable's gallery in front of the arguments where they leave it out."""
        gallery = os.environ.get(GALLERY_VARIABLE)
        if gallery and self._leaves_it_out(ctx, args):
            args = [gallery, *args]
        return super().parse_args(ctx, args)

    def _leaves_it_out(self, ctx: Any, args: list[str]) -> bool:
        try:
            values, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        except Exception:  # wrong usage, which `parse_args` reports
            return False
        arguments = [param for param in self.params if param.param_type_name == "argument"]
        found = [one for argument in arguments for one in _given(values.get(argument.name or ""))]
        if len(found) < sum(argument.required for argument in arguments):
            return True
        is_full = all(argument.nargs == 1 for argument in arguments) and len(found) >= len(arguments)
        return not is_full and not is_gallery(found[0])


def is_gallery(path: str | os.PathLike[str]) -> bool:
    """Return whether a path names a gallery: by its suffix `.gallery`, or because the file is an SQLite database."""
    if os.fspath(path).endswith(_SUFFIX) and not os.path.isdir(path):
        return True
    return head_of(path).startswith(_SQLITE)


def head_of(path: str | os.PathLike[str]) -> bytes:
    """Return a file's first bytes: none where it is missing, empty or not a regular file."""
    try:
        with open_regular(path) as stream:
            return stream.read(HEAD_BYTES)
    except (OSError, ValueError):
        return b""


def _given(value: object) -> list[str]:
    """Return the words of an argument: none where the parser gave None or its sign for an unset value."""
    words = value if isinstance(value, tuple | list) else (value,)
    return [word for word in words if isinstance(word, str)]
