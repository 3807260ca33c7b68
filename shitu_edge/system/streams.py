"""Standard streams of a command: closed ones opened on nothing, UTF-8, and a full disk that does not end the work."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress


class _Unfailing(io.FileIO):
    """A file that loses what it cannot write: a full disk under a log ends no command."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write what can be written."""
        rest = memoryview(data)
        with suppress(OSError):
            while len(rest):
                rest = rest[super().write(rest) or len(rest) :]
        return len(data)


def open_streams() -> None:
    """Make stdout and stderr usable, whatever the process was started with; a closed stdin stays None.

    The numbers 0 to 2 are taken first: a database that is given one of them would be written to by whatever prints.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is sys.__stderr__:
        sys.stderr = io.TextIOWrapper(_Unfailing(2, "w", closefd=False), line_buffering=True)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]  # labels in any script


def close_stdout() -> None:
    """Write what stdout still holds.

    Raises:
        OSError: it cannot be written; then nothing is held any more.
    """
    try:
        sys.stdout.flush()
    except OSError:
        # It would be tried again at exit, with a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
