"""Lines on stdout and messages on stderr, made safe for terminals.

All that the command line prints goes through here or `tables`: labels, notes, names of files and bundles, and messages
of engines come from outside.
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

_ClickException: Any = typer.BadParameter.__mro__[2]
"""Typer brings click along or imports it, and does not export this."""


class _OneLine(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        return shown(super().formatMessage(record), MOST_IN_A_LINE)


def set_up_messages() -> None:
    """Have warnings, of the log and of Python, appear on stderr as lines like those of `print_message`."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    warnings.formatwarning = _warning


def _warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> str:
    return shown(f"{category.__name__}: {message}", MOST_IN_A_LINE) + "\n"


def run(app: typer.Typer) -> int:
    """Run a command and return its exit code.

    What is said of wrong usage repeats the arguments, which may be names of files.
    """
    try:
        return app(standalone_mode=False) or 0
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
    """Print a line that is not the result: an error, a warning, what was done besides."""
    print(shown(line, MOST_IN_A_LINE), file=sys.stderr)


def count(number: int, noun: str) -> str:
    """Return `1 image`, `2 images`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_skipped(skipped: Iterable[Skipped]) -> None:
    """Say which files were not used, a line per reason."""
    for line in summary(skipped):
        print_message(f"skipped: {line}")


def print_left_out(boxes: int, limit: str) -> None:
    """Say how many detections were over a limit, if any were."""
    if boxes:
        print_message(f"{'1 box was' if boxes == 1 else f'{boxes} boxes were'} left out: {limit}")
