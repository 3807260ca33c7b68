"""Large pages for a graph's memory: its search jumps all over some hundred megabytes.

With pages of 4 KiB nearly every jump also misses the processor's table of pages; on Linux a process may ask for pages
of 2 MiB instead. hnswlib does not say where its memory lies, so it is found by what the process has mapped since.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

Span = tuple[int, int]
"""First address and the one after the last."""

_MAPS = Path("/proc/self/maps")
_WORTHWHILE = 16 << 20
_HUGEPAGE, _COLLAPSE = 14, 25  # of <asm-generic/mman-common.h>; a kernel before 6.1 refuses the second


@contextmanager
def large_pages() -> Iterator[None]:
    """Move large blocks that are allocated meanwhile to large pages, in a thread that the caller does not wait for.

    Where that cannot be, all stays as it is.
    """
    before = _large_blocks()
    yield
    found = [part for block in _large_blocks() for part in _beyond(block, before) if part[1] - part[0] >= _WORTHWHILE]
    if found:
        with suppress(RuntimeError):  # no thread can be started
            threading.Thread(target=_enlarge, args=(found,), name="large-pages", daemon=True).start()


def _large_blocks() -> list[Span]:
    """Return the process's own large blocks of memory; none where there is no way to tell."""
    if sys.platform != "linux":
        return []
    try:
        lines = _MAPS.read_text("utf-8", "replace").splitlines()  # files may have names in any encoding
    except OSError:
        return []
    blocks = []
    for line in lines:
        span, access, _, _, inode, *name = line.split()
        start, end = (int(address, 16) for address in span.split("-"))
        if access == "rw-p" and inode == "0" and not name and end - start >= _WORTHWHILE:
            blocks.append((start, end))
    return blocks


def _beyond(block: Span, others: list[Span]) -> list[Span]:
    """Return the parts of a block outside others, ascending: the kernel joins blocks that touch."""
    parts, start = [], block[0]
    for first, end in others:
        if start < end and first < block[1]:
            parts.append((start, first))
            start = end
    return [part for part in (*parts, (start, block[1])) if part[0] < part[1]]


def _enlarge(blocks: list[Span]) -> None:
    """Ask for large pages; memory that has been freed since is refused by the kernel, and nothing else happens."""
    advise = _madvise()
    for start, end in blocks:
        for advice in (_HUGEPAGE, _COLLAPSE):
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), advice)


@cache  # each time anew it would leave a cycle of references
def _madvise() -> Callable[..., int]:
    return ctypes.CDLL(None).madvise
