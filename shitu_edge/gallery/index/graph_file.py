"""The check of an hnswlib file before hnswlib reads it.

hnswlib 0.8 trusts its files: a link, level or entry point out of range makes it write outside its memory. The recorded
digest protects from damage only, as a forged index comes with its own. So everything that hnswlib assumes is checked
while the digest is computed.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...errors import GalleryError

_HEADER = struct.Struct("<6QiI3QdQ")
"""As written by `saveIndex` of hnswlib 0.8 (`hnswalg.h`)."""
_AT_ONCE = 1 << 20
_UNIT_TOLERANCE = 1e-3
"""Of the squared length of a row, which hnswlib computes in single precision."""


def check_graph(stream: BinaryIO, dim: int, count: int, m: int, ef_construction: int) -> tuple[str, NDArray[np.int64]]:
    """Read the file of an index of `count` rows of `dim` numbers, and check its whole structure.

    Returns:
        The file's SHA-256 in hexadecimal, and the item ids (N,) in file order.

    Raises:
        GalleryError: hnswlib cannot have written it with these parameters; the message does not name the file.
        OSError: it cannot be read.
    """
    row = _row(dim, m)
    with ThreadPoolExecutor(1) as worker:
        file = _Hashed(stream, worker)
        top, entry = _check_header(file.read(_HEADER.size), row, count, m, ef_construction)
        most_upper = _check_size(os.fstat(stream.fileno()).st_size, row, count, m)
        ids = _check_rows(file, row, count)
        levels = _check_upper(file.read(most_upper), count, m)
        if not levels[entry] == top == levels.max():
            raise GalleryError(f"its entry point has level {levels[entry]} of {levels.max()}; its header says {top}")
        return file.hexdigest(), ids


class _Hashed:
    """A file read once; its digest is computed in another thread, as it takes longer than the checks."""

    def __init__(self, stream: BinaryIO, worker: ThreadPoolExecutor) -> None:
        self._stream = stream
        self._worker = worker
        self._digest = hashlib.sha256()
        self._update = worker.submit(self._digest.update, b"")

    def read(self, size: int) -> bytes:
        """Return the next bytes; fewer at the end of the file."""
        content = self._stream.read(size)
        self._update.result()
        self._update = self._worker.submit(self._digest.update, content)
        return content

    def hexdigest(self) -> str:
        """Return the digest of everything read."""
        self._update.result()
        return self._digest.hexdigest()


def _row(dim: int, m: int) -> np.dtype[np.void]:
    """Return the record per item: links at the lowest level, unit row, id."""
    return np.dtype([("link_count", "<u4"), ("links", "<u4", (2 * m,)), ("vector", "<f4", (dim,)), ("id", "<u8")])


def _upper_bytes(m: int) -> int:
    """Return the bytes of an item's links at an upper level."""
    return 4 + 4 * m


def _check_header(head: bytes, row: np.dtype[np.void], count: int, m: int, ef_construction: int) -> tuple[int, int]:
    """Return the top level and the entry point."""
    if len(head) < _HEADER.size:
        raise GalleryError("is not an hnswlib index")
    start, capacity, found, row_bytes, id_at, vector_at, top, entry, *links, scale, breadth = _HEADER.unpack(head)
    assert row.fields is not None
    dim, expected_at = row["vector"].shape[0], row.fields["vector"][1]
    if (found, capacity, id_at - vector_at) != (count, count, 4 * dim):
        raise GalleryError(f"holds {found} × {(id_at - vector_at) // 4}, expected {count} × {dim}")
    layout = (0, row.itemsize, expected_at, m, 2 * m, m, max(ef_construction, m))
    # The scale is that of the random levels; a huge one would give later items huge levels.
    if (start, row_bytes, vector_at, *links, breadth) != layout or not abs(scale * math.log(m) - 1) < 1e-9:
        raise GalleryError(f"is not an hnswlib index with M {m} and ef_construction {ef_construction}")
    if entry >= count:
        raise GalleryError(f"its entry point is item {entry} of {count}")
    return top, entry


def _check_size(found: int, row: np.dtype[np.void], count: int, m: int) -> int:
    """Return the most bytes that may follow the rows: sizes and links of the upper levels.

    There are about `count / (m - 1)` levels in all; twice that plus 1000 is never reached.
    """
    rows = _HEADER.size + count * row.itemsize
    least = 4 * count
    most = least + (1000 + 2 * count // (m - 1)) * _upper_bytes(m)
    if not rows + least <= found <= rows + most:
        state = "is truncated" if found < rows + least else "is too long"
        raise GalleryError(f"{state}: expected {rows + least} to {rows + most} bytes, found {found}")
    return most


def _check_rows(file: _Hashed, row: np.dtype[np.void], count: int) -> NDArray[np.int64]:
    """Check the record of every item; return the ids."""
    most_links = row["links"].shape[0]
    ids = np.empty(count, np.int64)
    at_once = max(1, _AT_ONCE // row.itemsize)
    for start in range(0, count, at_once):
        size = min(at_once, count - start)
        content = file.read(size * row.itemsize)
        if len(content) < size * row.itemsize:
            raise GalleryError("is truncated")
        rows = np.frombuffer(content, row)
        # The upper half of a count marks deleted items, which are never written. Unused links are 0, or were used once.
        if rows["link_count"].max() > most_links or rows["links"].max() >= count:
            raise GalleryError("an item has too many links, or one to an item that does not exist")
        vectors = rows["vector"]
        if not (np.abs(np.einsum("nd,nd->n", vectors, vectors) - 1) < _UNIT_TOLERANCE).all():
            raise GalleryError("a row is not of length 1")
        ids[start : start + size] = rows["id"]
    ascending = np.sort(ids)
    if ascending[0] < 0 or (ascending[1:] == ascending[:-1]).any():
        raise GalleryError("two items have the same id, or one has an id that is out of range")
    return ids


def _check_upper(content: bytes, count: int, m: int) -> NDArray[np.int32]:
    """Check every item's links at the upper levels; return the items' levels."""
    if len(content) % 4:
        raise GalleryError("is truncated")
    words = np.frombuffer(content, "<u4")
    levels, starts, at_level = _walk(words, count, m)
    lists = words[np.array(starts, np.intp)[:, None] + np.arange(1 + m)]
    link_counts, links = lists[:, :1], lists[:, 1:]
    if (link_counts > m).any() or (links >= count).any():
        raise GalleryError("an item has too many links, or one to an item that does not exist, at an upper level")
    used = np.arange(m) < link_counts
    if (used & (levels[links] < np.array(at_level, np.int32)[:, None])).any():
        raise GalleryError("a link leads to an item that does not reach its level")
    return levels


def _walk(words: NDArray[np.uint32], count: int, m: int) -> tuple[NDArray[np.int32], list[int], list[int]]:
    """Return each item's level, and the start and level of each list of links.

    Most items have no upper links: one word of 0.
    """
    levels = np.zeros(count, np.int32)
    starts: list[int] = []
    at_level: list[int] = []
    used = np.flatnonzero(words).tolist()
    step = _upper_bytes(m)
    item = place = 0
    while (next_used := bisect_left(used, place)) < len(used):
        item, place = item + used[next_used] - place, used[next_used] + 1
        size = int(words[place - 1])
        level, rest = divmod(size, step)
        end = place + size // 4
        if item >= count or rest or end > len(words):
            raise GalleryError(f"the upper links of an item take {size} bytes, expected none or a multiple of {step}")
        levels[item] = level
        starts += range(place, end, step // 4)
        at_level += range(1, level + 1)
        item, place = item + 1, end
    if item + len(words) - place != count:
        raise GalleryError("is truncated, or has bytes after its last item")
    return levels, starts, at_level
