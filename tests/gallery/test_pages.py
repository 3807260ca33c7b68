"""A graph's memory moves to large pages where the system has them, and nothing happens where it has not."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.gallery import pages

_SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def _wait() -> None:
    for thread in threading.enumerate():
        if thread.name == "large-pages":
            thread.join()


@pytest.mark.skipif(
    not _SWITCH.is_file() or "[never]" in _SWITCH.read_text(), reason="this system has no transparent huge pages"
)
def test_a_large_block_is_moved() -> None:
    with pages.large_pages():
        block = np.empty(64 << 20, np.uint8)
        block[::4096] = np.arange(len(block) // 4096) % 251
    _wait()
    address, large = block.ctypes.data, 0
    counted = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split()[0]
        if "-" in head:
            start, end = (int(number, 16) for number in head.split("-"))
            counted = start <= address + len(block) // 2 < end
        elif counted and head == "AnonHugePages:":
            large += int(line.split()[1])
    assert large >= 32 << 10  # KiB: half of it at least, whatever its ends
    assert (block[::4096] == np.arange(len(block) // 4096) % 251).all()


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], [(10, 20)]),
        ([(0, 10), (20, 30)], [(10, 20)]),
        ([(0, 12)], [(12, 20)]),
        ([(15, 40)], [(10, 15)]),
        ([(12, 14), (16, 18)], [(10, 12), (14, 16), (18, 20)]),
        ([(5, 25)], []),
        ([(10, 20)], []),
    ],
)
def test_only_what_is_new_is_moved(others: list[pages.Span], expected: list[pages.Span]) -> None:
    assert pages._beyond((10, 20), others) == expected


def test_where_nothing_is_known_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_MAPS", tmp_path / "missing")
    with pages.large_pages():
        block = np.ones(64 << 20, np.uint8)
    assert not any(thread.name == "large-pages" for thread in threading.enumerate())
    assert block.all()


def test_memory_that_is_gone_does_no_harm() -> None:
    pages._enlarge([(1 << 12, 32 << 20)])
