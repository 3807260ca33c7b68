"""Standard streams of a command: closed ones replaced, UTF-8, and write errors of a log ignored."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress


class _Unfailing(io.FileIO):
    """A file that ignores write errors: a full disk under a log must not end a command."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write as much as possible."""
        rest = memoryview(data)
        with suppress(OSError):
            while len(rest):
                rest = rest[super().write(rest) or len(rest) :]
        return len(data)


def open_streams() -> None:
    """Make stdout and stderr usable, whatever the process was started with; a closed stdin stays None.

    Descriptors 0 to 2 are occupied first: a database opened as one of them would receive printed text.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is sys.__stderr__:
        sys.stderr = io.TextIOWrapper(_Unfailing(2, "w", closefd=False), line_buffering=True)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]  # labels in any script


def close_stdout() -> None:
    """Flush stdout. Raises `OSError` if it cannot be written; the buffered text is dropped."""
    try:
        sys.stdout.flush()
    except OSError:
        # Python would try again at exit, with a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
