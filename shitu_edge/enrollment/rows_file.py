"""Embeddings on their way into a new generation, on disk: a killed process loses at most the last one.

A line of JSON with the gallery's id and the extractor, then records: an item's id, its unit row as little-endian
float32, and the CRC-32 of both. Records are appended; what a power cut tore is at the end and ignored.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..errors import GalleryError, os_errors_as
from ..gallery import Meta

_ID = struct.Struct("<q")
_SUM = struct.Struct("<I")


class RowsFile:
    """The embeddings of one gallery by one extractor. A context manager; for one thread."""

    def __init__(self, path: Path, gallery_id: str, meta: Meta) -> None:
        """Open it, or begin anew if it is missing or of another gallery or extractor.

        Raises:
            GalleryError: it cannot be written.
        """
        self._path = path
        self._dim = meta.dim
        head = json.dumps([gallery_id, meta.fingerprint, meta.dim]).encode() + b"\n"
        with os_errors_as(GalleryError, path, "cannot be written"):
            self._stream = path.open("a+b", buffering=0)
            self._stream.seek(0)
            content = self._stream.read()
            if not content.startswith(head):
                self._stream.truncate(0)
                self._stream.write(head)
                content = head
            self.rows: dict[int, bytes] = {}
            """Embeddings by item, as they are stored."""
            self._stream.truncate(self._read(content, len(head)))

    def add(self, item: int, row: NDArray[np.float32]) -> None:
        """Keep an item's unit row (D,)."""
        record = _ID.pack(item) + np.ascontiguousarray(row, "<f4").tobytes()
        with os_errors_as(GalleryError, self._path, "cannot be written"):
            self._stream.write(record + _SUM.pack(zlib.crc32(record)))
        self.rows[item] = record[_ID.size :]

    def delete(self) -> None:
        """Delete the file, whose embeddings are in a gallery by now."""
        self._path.unlink(missing_ok=True)

    def _read(self, content: bytes, start: int) -> int:
        """Read the records; return where the last sound one ends."""
        size = _ID.size + 4 * self._dim
        while start + size + _SUM.size <= len(content):
            record = content[start : start + size]
            if _SUM.unpack_from(content, start + size) != (zlib.crc32(record),):
                break
            self.rows[_ID.unpack_from(record)[0]] = record[_ID.size :]
            start += size + _SUM.size
        return start

    def __enter__(self) -> RowsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.fsync(self._stream.fileno())
        self._stream.close()
