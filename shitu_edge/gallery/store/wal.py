"""SQLite's write-ahead log (https://sqlite.org/walformat.html): the pages it holds, as of its last commit."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 32
_HEADER = struct.Struct(">8I")
_MAGICS = {0x377F0682: "<u4", 0x377F0683: ">u4"}
"""Byte order of the words in the checksums; the log's other numbers are big-endian."""
_FORMAT = 3007000
_FRAME_WORDS = 6
_FRAMES_AT_ONCE = 256
_MODULUS = 1 << 32

_Sums = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Committed:
    """Positions in a log of the newest content of each page (from 1), the page size, and the file's size in pages."""

    places: dict[int, int]
    page_bytes: int
    pages: int


def read_committed(log: bytes) -> Committed | None:
    """Return a log's pages up to its last commit, None if there is none.

    Frames count as long as they have the salts of the log's header and the right checksums. Others are left from
    uncommitted changes or from earlier use of the log.
    """
    if len(log) < HEADER_BYTES:
        return None
    magic, form, page_bytes, _, *salts, _, _ = _HEADER.unpack_from(log)
    if magic not in _MAGICS or form != _FORMAT or not _is_page_size(page_bytes):
        return None
    order = _MAGICS[magic]
    sums = _chained((0, 0), _weighted(np.frombuffer(log, order, 6)[None])[0], 6)
    committed, pending, pages = dict[int, int](), dict[int, int](), 0
    if sums != _HEADER.unpack_from(log)[6:]:
        return None
    for place, (page, size, *found), words in _frames(log, page_bytes, order):
        sums = _chained(sums, words, 2 + page_bytes // 4)
        if found != [*salts, *sums] or page == 0:
            break
        pending[page] = place
        if size:
            committed |= pending
            pages = size
            pending.clear()
    return Committed(committed, page_bytes, pages) if pages else None


def _frames(log: bytes, page_bytes: int, order: str) -> Iterator[tuple[int, list[int], _Sums]]:
    """Yield per frame: the position of its page, its header's six numbers, and its addends to the checksums."""
    words = _FRAME_WORDS + page_bytes // 4
    count = (len(log) - HEADER_BYTES) // (4 * words)
    for start in range(0, count, _FRAMES_AT_ONCE):
        some, offset = min(_FRAMES_AT_ONCE, count - start), HEADER_BYTES + 4 * words * start
        frames = np.frombuffer(log, order, some * words, offset).reshape(some, words)
        heads = np.frombuffer(log, ">u4", some * words, offset).reshape(some, words)[:, :_FRAME_WORDS]
        sums = _weighted(np.hstack([frames[:, :2], frames[:, _FRAME_WORDS:]]))
        for number in range(some):
            place = offset + 4 * (words * number + _FRAME_WORDS)
            yield place, heads[number].tolist(), sums[number]


def _weighted(words: NDArray[np.uint32]) -> list[_Sums]:
    """Return the two checksums of rows of words (N, W), each begun at zero.

    For words a, b the sums are `one += a + other; other += b + one`, so a word's weight is the Fibonacci number of its
    distance from the end.
    """
    numbers = np.array(_fibonacci(words.shape[1]), np.uint32)[::-1]
    weights = np.stack([numbers[2:], numbers[1:-1]], axis=1)
    return [(one, other) for one, other in (words.astype(np.uint32) @ weights).tolist()]


def _chained(sums: _Sums, added: _Sums, words: int) -> _Sums:
    """Return the checksums after `words` more words, given the addends of these alone."""
    *_, before, last, after = _fibonacci(words)
    one = before * sums[0] + last * sums[1] + added[0]
    other = last * sums[0] + after * sums[1] + added[1]
    return one % _MODULUS, other % _MODULUS


@cache
def _fibonacci(last: int) -> tuple[int, ...]:
    """Return the Fibonacci numbers 0 to `last` + 1, modulo 2³²."""
    numbers = [0, 1]
    for _ in range(last):
        numbers.append((numbers[-2] + numbers[-1]) % _MODULUS)
    return tuple(numbers)


def _is_page_size(number: int) -> bool:
    return 512 <= number <= 65536 and number & (number - 1) == 0
