"""Lines on stdout and messages on stderr, made safe for terminals.

Everything that the command line prints goes through here or `tables`: labels, notes, names of files and bundles, and
engine messages come from outside.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterable
from io import StringIO
from typing import Any

import typer

from ..inputs.skipped import Skipped, summary
from ..system.text import MOST_IN_A_LINE, shown

PROGRAM = "shitu-edge"

_ClickException: Any = typer.BadParameter.__mro__[2]
"""Typer contains click or imports it, depending on its version, and does not export this class."""


class _OneLine(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        return shown(super().formatMessage(record), MOST_IN_A_LINE)


_library = logging.getLogger(__package__.partition(".")[0])


def set_up_messages() -> None:
    """Show warnings, of the log and of Python, on stderr as lines like those of `print_message`."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    warnings.formatwarning = _warning
    be_usual()


def be_usual() -> None:
    """Show warnings, notes and progress, as without `be_verbose` and `be_quiet`."""
    _library.setLevel(logging.NOTSET)


def be_verbose() -> None:
    """Show the library's log from INFO on."""
    _library.setLevel(logging.INFO)


def be_quiet() -> None:
    """Show errors only: no warnings, no notes, no progress."""
    _library.setLevel(logging.ERROR)
    for handler in logging.getLogger().handlers:  # other libraries' loggers
        handler.addFilter(_is_error)
    warnings.simplefilter("ignore")


def is_quiet() -> bool:
    """Return whether `be_quiet` was called and not `be_usual` since."""
    return _library.level >= logging.ERROR


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or not is_quiet()


def _warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> str:
    return shown(f"{category.__name__}: {message}", MOST_IN_A_LINE) + "\n"


def run(app: typer.Typer) -> int:
    """Run a command and return its exit code.

    Usage errors repeat the arguments, which may be hostile file names, so they are printed here.
    """
    try:
        return app(prog_name=PROGRAM, standalone_mode=False) or 0
    except _ClickException as error:
        told = StringIO()
        error.show(told)
        for line in told.getvalue().splitlines():
            print_message(line)
        return int(error.exit_code)


def print_line(line: str = "") -> None:
    """Print a line of a result."""
    print(shown(line, MOST_IN_A_LINE))


def print_message(line: str) -> None:
    """Print a line on stderr, whatever the options say: an error."""
    print(shown(line, MOST_IN_A_LINE), file=sys.stderr)


def print_note(line: str) -> None:
    """Print a line on stderr that `--quiet` leaves out: a warning, a note, a file written besides."""
    if not is_quiet():
        print_message(line)


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 image`, `2 images`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_skipped(skipped: Iterable[Skipped]) -> None:
    """List the files that were not used, one line per reason."""
    for line in summary(skipped):
        print_note(f"skipped: {line}")


def print_left_out(boxes: int, limit: str) -> None:
    """Report how many detections a limit cut off, if any."""
    if boxes:
        print_note(f"{count(boxes, 'detection')} skipped: {limit}")
