"""Nearest neighbours by cosine: exact for small galleries, an hnswlib graph for large ones.

Both hold unit rows under item ids and answer `(ids, similarities)`, best first. A graph is derived data: it is only
loaded when its file's digest is the expected one, and can always be built again.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..blas import SMALL_PRODUCT
from ..errors import GalleryError

Ids = NDArray[np.int64]
Rows = NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with what is done and the total."""

_ADD_AT_ONCE = 1000
_ROWS_AT_LEAST = 8
_HEADER = struct.Struct("<6QiI3QdQ")
"""`saveIndex` of hnswlib 0.8 (`hnswalg.h`): sizes and offsets in bytes, top level, entry point, links, and the rest."""


@dataclass(frozen=True, slots=True)
class GraphParameters:
    """hnswlib's `M`, `ef_construction` and query-time `ef`; the defaults by `benchmarks/search.py`."""

    m: int = 32
    ef_construction: int = 400
    ef: int = 256


class Index(Protocol):
    """What a search asks."""

    def __len__(self) -> int: ...

    def search(self, queries: Rows, k: int) -> tuple[Ids, Rows]:
        """Return ids and cosine similarities (Q, min(k, len)) of each query row (Q, D), best first."""


class ExactIndex:
    """Brute force by one matrix product: every answer is right, at 2·N·D operations a query."""

    def __init__(self, ids: Ids, vectors: Rows) -> None:
        self._ids = ids
        self._vectors = vectors

    @classmethod
    def empty(cls, dim: int) -> ExactIndex:
        """Return an index of nothing."""
        return cls(np.empty(0, np.int64), np.empty((0, dim), np.float32))

    def extended(self, ids: Ids, vectors: Rows) -> ExactIndex:
        """Return an index that holds these items too; this one stays as it is."""
        return ExactIndex(np.concatenate([self._ids, ids]), np.concatenate([self._vectors, vectors]))

    def __len__(self) -> int:
        return len(self._ids)

    def search(self, queries: Rows, k: int) -> tuple[Ids, Rows]:
        """See `Index.search`. Equal similarities come in the order of ids."""
        similarities = self._similarities(queries)
        k = min(k, len(self._ids))
        if k == 0:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        # The k-th best value, not argpartition's choice among equals, decides who is in.
        best = np.empty((len(queries), k), np.intp)
        for row, values in enumerate(similarities):
            floor = np.partition(values, len(values) - k)[len(values) - k]
            contenders = np.flatnonzero(values >= floor)
            best[row] = contenders[np.argsort(-values[contenders], kind="stable")[:k]]
        return self._ids[best], np.take_along_axis(similarities, best, axis=1)

    def _similarities(self, queries: Rows) -> Rows:
        """Return all cosines (Q, N), by products small enough for one thread where the queries are few."""
        step = SMALL_PRODUCT // max(1, queries.size)
        if step < _ROWS_AT_LEAST:
            step = max(1, len(self._vectors))
        similarities = np.empty((len(queries), len(self._vectors)), np.float32)
        for start in range(0, len(self._vectors), step):
            piece = slice(start, start + step)
            np.matmul(queries, self._vectors[piece].T, out=similarities[:, piece])
        return similarities


class GraphIndex:
    """An hnswlib cosine graph (Malkov and Yashunin 2016). Never changed after it is built, so searches need no lock."""

    def __init__(self, graph: Any, parameters: GraphParameters) -> None:
        self._graph = graph
        graph.set_ef(parameters.ef)

    def __len__(self) -> int:
        return int(self._graph.get_current_count())

    @classmethod
    def build(
        cls, ids: Ids, vectors: Rows, parameters: GraphParameters, threads: int, progress: Progress | None = None
    ) -> GraphIndex:
        """Build a graph of unit rows (N, D)."""
        graph = _new_graph(vectors.shape[1])
        graph.init_index(
            max_elements=len(ids), M=parameters.m, ef_construction=parameters.ef_construction, random_seed=100
        )
        graph.set_num_threads(threads)
        for start in range(0, len(ids), _ADD_AT_ONCE):
            stop = min(start + _ADD_AT_ONCE, len(ids))
            graph.add_items(vectors[start:stop], ids[start:stop])
            if progress:
                progress(stop, len(ids))
        return cls(graph, parameters)

    @classmethod
    def load(cls, path: Path, dim: int, count: int, parameters: GraphParameters) -> GraphIndex:
        """Load a graph from a file whose digest has been checked.

        Raises:
            GalleryError: it is truncated, or the header speaks of another dimension, count or layout; hnswlib itself
                would believe it.
        """
        _check_file(path, dim, count, parameters.m)
        graph = _new_graph(dim)
        try:
            graph.load_index(str(path), max_elements=count)
        except RuntimeError as error:
            raise GalleryError(f"{path}: {error}") from error
        return cls(graph, parameters)

    def save(self, path: Path) -> None:
        """Write the graph durably.

        Raises:
            GalleryError: it cannot be written, or the disk is full; hnswlib itself would not notice.
        """
        try:
            self._graph.save_index(str(path))  # holds the GIL, as load_index does
        except RuntimeError as error:
            raise GalleryError(f"{path}: {error}") from error
        expected = int(self._graph.index_file_size())
        if not path.is_file() or path.stat().st_size < expected:
            raise GalleryError(f"{path}: could not be written whole ({expected} bytes); is the disk full?")
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())

    def search(self, queries: Rows, k: int) -> tuple[Ids, Rows]:
        """See `Index.search`; approximate, with the recall that `ef` buys."""
        try:
            ids, distances = self._graph.knn_query(queries, k=min(k, len(self)), num_threads=1)
        except RuntimeError as error:  # fewer than k items can be reached: too few links
            raise GalleryError(f"the graph finds no {k} neighbours: {error}") from error
        return ids.astype(np.int64), (1 - distances).astype(np.float32)


def _check_file(path: Path, dim: int, count: int, m: int) -> None:
    """Compare a graph's header and its file's size with what hnswlib would have written."""
    with path.open("rb") as stream:
        header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise GalleryError(f"{path}: is no graph")
    start, capacity, found, row, label_offset, data_offset, _, entry, *links, _, _ = _HEADER.unpack(header)
    if (found, capacity, label_offset - data_offset) != (count, count, dim * 4):
        raise GalleryError(f"{path}: holds {found} × {(label_offset - data_offset) // 4}, expected {count} × {dim}")
    links_size = 4 + 2 * m * 4
    layout = (0, links_size + dim * 4 + 8, links_size, m, 2 * m, m)
    if (start, row, data_offset, *links) != layout or entry >= count:
        raise GalleryError(f"{path}: is no graph with {m} links an item")
    expected = _HEADER.size + count * (row + 4)
    if path.stat().st_size < expected:
        raise GalleryError(f"{path}: is truncated: expected {expected} bytes or more")


def _new_graph(dim: int) -> Any:
    try:
        import hnswlib
    except ImportError as error:
        raise GalleryError(
            f"large galleries need hnswlib ({error}); HNSWLIB_NO_NATIVE=1 pip install hnswlib"
        ) from error
    return hnswlib.Index(space="cosine", dim=dim)
