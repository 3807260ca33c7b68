"""The log in a folder: a line per request, bounded, and no reason to stop when the disk is full."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ..errors import OptionError, os_errors_as
from ..system.text import MOST_IN_A_LINE, shown

NAME = "serve.log"

_MOST_BYTES = 2 << 20
_FILES = 5


class _OneLine(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line, made safe for terminals: notes may quote callers."""
        return shown(super().formatMessage(record), MOST_IN_A_LINE)


@contextmanager
def logged_to(folder: Path | None) -> Iterator[None]:
    """Write the library's log to a folder as well, in at most 5 files of 2 MiB; times are UTC.

    Raises:
        OptionError: the file cannot be written at the start. Later failures, such as a full disk, lose lines alone.
    """
    if folder is None:
        yield
        return
    with os_errors_as(OptionError, folder / NAME, "cannot be written"):
        handler = RotatingFileHandler(folder / NAME, maxBytes=_MOST_BYTES, backupCount=_FILES - 1, encoding="utf-8")
    formatter = _OneLine("%(asctime)sZ %(levelname)s %(message)s")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    library = logging.getLogger(__package__.partition(".")[0])
    library.addHandler(handler)
    try:
        yield
    finally:
        library.removeHandler(handler)
        handler.close()
