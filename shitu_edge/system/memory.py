"""Memory that starting took and serving does not need."""

from __future__ import annotations

import ctypes
import sys


def release_freed_memory() -> None:
    """Have the C library give back to the system what was freed; where it cannot, all stays as it is.

    Reading and compiling networks leaves holes between what stays, which glibc keeps for later.
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # musl has none
        trim(0)
