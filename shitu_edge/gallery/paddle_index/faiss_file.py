"""Reader of faiss files without faiss: ids and vectors.

The layout is that of `faiss/impl/index_write.cpp`, little-endian: four letters for the kind, a header, and the kind's
content; a list is its length as uint64, then its elements. Supported are the kinds with plain float32 vectors: Flat,
HNSWFlat and IVFFlat, alone or in an IDMap, with inner product or L2. A file may be hostile: every length is compared
with the bytes left before anything is allocated, so reading takes no more memory than the file's size.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import GalleryError
from ...system.files import open_regular

_MAX_BYTES = 2 << 30
"""A million vectors of 512 numbers."""
_MAPS = frozenset(["IxMp", "IxM2"])
_FLAT = frozenset(["IxFI", "IxF2", "IxFl"])
_GRAPHS = frozenset(["IHNf"])
_INVERTED = frozenset(["IwFl"])
_OTHERS = {
    "IxPq": "product quantizer",
    "IwPQ": "IVF product quantizer",
    "IHNp": "HNSW product quantizer",
    "IxSQ": "scalar quantizer",
    "IwSq": "IVF scalar quantizer",
    "IHNs": "HNSW scalar quantizer",
    "IxPT": "PreTransform",
    "IxRF": "Refine",
    "ilod": "lists on disk",
    "null": "vectors left out",
}
_HEADER = "<iqqq?i"  # dimension, vectors, two unused, trained, metric
_METRICS = (0, 1)  # METRIC_INNER_PRODUCT, METRIC_L2
_GRAPH_LISTS = (("probabilities", 8), ("links by level", 4), ("levels", 4), ("offsets", 8), ("links", 4))
_GRAPH_END = "<5i"
_HASH_TABLE = 2


@dataclass(frozen=True, slots=True)
class FaissVectors:
    """Ids (N,) and finite vectors (N, D) of an index, in file order."""

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]


def read_faiss(path: Path) -> FaissVectors:
    """Read the vectors of an index; without an IDMap, ids are the positions 0 to N-1 or those of an IVF's lists.

    Raises:
        GalleryError: the file cannot be read, is damaged, or of an unsupported kind.
    """
    try:
        with open_regular(path) as stream:
            reader = _Reader(path, stream)
            if reader.left > _MAX_BYTES:
                raise reader.error(f"is larger than {_MAX_BYTES >> 30} GiB")
            found = _read_index(reader)
    except OSError as error:
        raise GalleryError(f"{path}: cannot be read: {error.strerror}") from error
    except MemoryError as error:
        raise GalleryError(f"{path}: does not fit into memory") from error
    reader.expect("bytes after the index", 0, reader.left)
    if not np.isfinite(found.vectors).all():
        raise GalleryError(f"{path}: expected vectors of finite numbers, found NaN or infinity")
    return FaissVectors(found.ids.astype(np.int64, copy=False), found.vectors.astype(np.float32, copy=False))


class _Reader:
    """A file read forward, with checks of all lengths."""

    def __init__(self, path: Path, stream: BufferedReader) -> None:
        self._path = path
        self._stream = stream
        self.left = os.fstat(stream.fileno()).st_size

    def error(self, text: str) -> GalleryError:
        return GalleryError(f"{self._path}: {text}")

    def expect(self, what: str, expected: object, found: object) -> None:
        if expected != found:
            raise self.error(f"is damaged: {what}: expected {expected}, found {found}")

    def require(self, size: int) -> None:
        """Check that `size` bytes are left."""
        if size > self.left:
            raise self.error(f"is truncated or damaged: expected {size} more bytes, found {self.left}")

    def fill(self, array: NDArray[Any]) -> None:
        self.require(array.nbytes)
        self.expect("bytes read", array.nbytes, self._stream.readinto(array.data))
        self.left -= array.nbytes

    def numbers(self, layout: str) -> tuple[Any, ...]:
        data = np.empty(struct.calcsize(layout), np.uint8)
        self.fill(data)
        return struct.unpack(layout, data.tobytes())

    def kind(self, kinds: Collection[str]) -> str:
        """Read the four letters of a kind, which must be one of `kinds`."""
        kind = bytes(self.numbers("<4s")[0]).decode("latin-1")
        if kind in kinds:
            return kind
        name = "binary, for hamming distance" if kind.startswith("IB") else _OTHERS.get(kind, "unknown")
        understood = "a faiss index of Flat, HNSWFlat or IVFFlat, alone or in an IDMap"
        raise self.error(f"expected {understood}, found {kind!r} ({name})")

    def list_of(self, dtype: str) -> NDArray[Any]:
        count = int(self.numbers("<Q")[0])
        self.require(count * np.dtype(dtype).itemsize)
        array = np.empty(count, dtype)
        self.fill(array)
        return array

    def skip_list(self, itemsize: int) -> int:
        """Skip a list and return its length."""
        count = int(self.numbers("<Q")[0])
        self.require(count * itemsize)
        self._stream.seek(count * itemsize, os.SEEK_CUR)
        self.left -= count * itemsize
        return count


def _read_index(reader: _Reader) -> FaissVectors:
    kind = reader.kind(_MAPS | _FLAT | _GRAPHS | _INVERTED)
    if kind not in _MAPS:
        return _read_vectors(reader, kind)
    shape = _read_header(reader)
    inner = _read_vectors(reader, reader.kind(_FLAT | _GRAPHS | _INVERTED))
    reader.expect("vectors × numbers", shape, inner.vectors.shape)
    ids = reader.list_of("<i8")
    reader.expect("ids", shape[0], len(ids))
    if not np.array_equal(np.sort(inner.ids), np.arange(len(ids))):
        raise reader.error("has lost which id a vector has, as after removing items from an IVF index; build it again")
    return FaissVectors(ids[inner.ids], inner.vectors)


def _read_header(reader: _Reader) -> tuple[int, int]:
    """Return the shape (N, D) of an index's vectors."""
    dim, count, _, _, _, metric = reader.numbers(_HEADER)
    if metric not in _METRICS:
        raise reader.error(f"expected the metric inner product (0) or L2 (1), found {metric}")
    if dim < 1 or count < 0:
        raise reader.error(f"is damaged: vectors × numbers: found {count} × {dim}")
    return count, dim


def _read_vectors(reader: _Reader, kind: str) -> FaissVectors:
    """Read an index other than an IDMap; nested at most as IVF, its quantizer's graph, that one's vectors."""
    shape = _read_header(reader)
    if kind in _INVERTED:
        return _read_inverted(reader, shape)
    if kind in _GRAPHS:
        lengths = {name: reader.skip_list(itemsize) for name, itemsize in _GRAPH_LISTS}
        reader.expect("levels and offsets", (shape[0], shape[0] + 1), (lengths["levels"], lengths["offsets"]))
        reader.numbers(_GRAPH_END)
        stored = _read_vectors(reader, reader.kind(_FLAT))
        reader.expect("vectors × numbers", shape, stored.vectors.shape)
        return stored
    numbers = reader.list_of("<f4")
    reader.expect("numbers", shape[0] * shape[1], len(numbers))
    return FaissVectors(np.arange(shape[0]), numbers.reshape(shape))


def _read_inverted(reader: _Reader, shape: tuple[int, int]) -> FaissVectors:
    lists, _ = reader.numbers("<QQ")  # and the number that a search visits
    quantizer = _read_vectors(reader, reader.kind(_FLAT | _GRAPHS))
    reader.expect("numbers per centroid", shape[1], quantizer.vectors.shape[1])
    (direct_map,) = reader.numbers("<B")
    reader.skip_list(8)
    if direct_map == _HASH_TABLE:
        reader.skip_list(16)
    reader.kind(["ilar"])
    reader.expect("lists, bytes per row", (lists, 4 * shape[1]), reader.numbers("<QQ"))
    sizes = _read_list_sizes(reader, lists, shape[0])
    reader.require(shape[0] * (4 * shape[1] + 8))
    ids, vectors = np.empty(shape[0], "<i8"), np.empty(shape, "<f4")
    start = 0
    for size in sizes:
        reader.fill(vectors[start : start + size])
        reader.fill(ids[start : start + size])
        start += size
    return FaissVectors(ids, vectors)


def _read_list_sizes(reader: _Reader, lists: int, count: int) -> list[int]:
    """Return the sizes of the non-empty lists; the file holds all sizes, or pairs of number and size."""
    layout, sizes = reader.numbers("<4s")[0], reader.list_of("<u8")
    if layout == b"sprs" and len(sizes) % 2 == 0:
        numbers, sizes = sizes[::2], sizes[1::2]
        whole = bool((numbers < lists).all() and (numbers[1:] > numbers[:-1]).all())
    else:
        whole = layout == b"full" and len(sizes) == lists
    filled = sizes[sizes > 0]
    if not whole or len(filled) > count or sum(filled.tolist()) != count:
        raise reader.error(f"is damaged: expected the sizes of {lists} lists of {count} vectors together")
    return [int(size) for size in filled]
