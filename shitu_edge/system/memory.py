"""This process's memory."""

from __future__ import annotations

import ctypes
import os
import sys


def release_freed_memory() -> None:
    """Return freed memory to the system, where the C library can.

    Reading and compiling networks leaves holes that glibc would keep.
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # musl has none
        trim(0)


def resident_bytes() -> int | None:
    """Return the memory that this process holds, in bytes; None on other systems than Linux."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None
