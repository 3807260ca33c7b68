"""What was freed goes back to the system, and what is held is told."""

from __future__ import annotations

import ctypes
import sys

import numpy as np
import pytest

from shitu_edge.system.memory import resident_bytes
from tests.gallery.rows import run_python

HOLES = """
import ctypes
from pathlib import Path
from shitu_edge.system.memory import release_freed_memory

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 // 1024

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
blocks = [libc.malloc(100_000) for _ in range(1000)]
for block in blocks:
    ctypes.memset(block, 1, 100_000)
for block in blocks[:-1]:  # the last keeps the heap from shrinking by itself
    libc.free(block)
before = resident_mib()
release_freed_memory()
print(before - resident_mib())
"""


def has_glibc() -> bool:
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")


@pytest.mark.skipif(not has_glibc(), reason="only glibc keeps what was freed and can be asked for it")
def test_what_was_freed_goes_back() -> None:
    assert int(run_python(HOLES)) > 80


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory a process holds")
def test_resident_bytes_follow_what_is_held() -> None:
    before = resident_bytes()
    held = np.ones(64 << 20, np.uint8)
    after = resident_bytes()
    assert before is not None
    assert after is not None
    assert 60 << 20 < after - before < 80 << 20
    del held
