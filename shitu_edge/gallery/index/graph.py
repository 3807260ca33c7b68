"""Nearest neighbors by cosine in large galleries: an hnswlib index.

Like the exact index it holds unit rows under item ids and returns `(ids, similarities)`, best first. It is derived:
its file is fully checked before it is loaded, and can always be built again.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...errors import GalleryError
from ...system.files import open_regular
from ...system.progress import Progress as Progress
from .exact import Ids as Ids
from .exact import Rows as Rows
from .exact import search_in_parts
from .graph_file import check_graph

MOST_LINKS = 1000
_ADD_AT_ONCE = 100
"""Rows per thread: some tenths of a second, after which a build can be canceled."""
_COMPARE_AT_ONCE = 1000
_FILL_AT_ONCE = 1 << 20
_WIDER = 4
_ALIVE_SHARE = 4
"""If less than a quarter of the results are alive, search wider (`tests/gallery/index/test_recall.py`)."""
_WIDE_SHARE = 8
"""Above an eighth of the items, an index search is slower than an exact one."""
_EF = 208
"""For 99 % recall among 100 000 embeddings of 512 numbers (`benchmarks/search.py`)."""
_EF_GROWTH = 0.85
"""Exponent of its growth with the number of items (`benchmarks/growth.py`)."""
_LEAST_EF = 128
"""After a label was removed, only the tail of the results counts (`tests/gallery/index/test_recall.py`)."""


@dataclass(frozen=True, slots=True)
class GraphParameters:
    """hnswlib's `M`, `ef_construction` and query-time `ef`; None: by the number of items."""

    m: int = 32
    ef_construction: int = 400
    ef: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges, which hnswlib does not; raises `GalleryError`."""
        breadths = (self.ef_construction, 1 if self.ef is None else self.ef)
        if not (2 <= self.m <= MOST_LINKS and all(1 <= breadth < 1 << 20 for breadth in breadths)):
            raise GalleryError(f"expected M of 2 to {MOST_LINKS} and a positive ef_construction and ef, found {self}")

    def ef_among(self, items: int) -> int:
        """Return the `ef` for an index of `items` items."""
        return self.ef or default_ef(items)


def default_ef(items: int) -> int:
    """Return the `ef` for 99 % recall among `items` items."""
    return max(_LEAST_EF, round(_EF * math.pow(items / 100_000, _EF_GROWTH)))


class GraphIndex:
    """An hnswlib cosine index (Malkov and Yashunin 2016). Immutable while searched, so without a lock."""

    def __init__(self, graph: Any, parameters: GraphParameters, ids: Ids, digest: str | None = None) -> None:
        self._graph = graph
        self.parameters = parameters
        self.digest = digest
        """SHA-256 of its file; None without a file."""
        self.ids = ids
        """Item ids, ascending."""
        self.ef = parameters.ef_among(len(self.ids))
        graph.set_ef(self.ef)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def build(
        cls,
        ids: Ids,
        fetch: Callable[[Ids], Rows],
        dim: int,
        parameters: GraphParameters,
        threads: int,
        progress: Progress | None = None,
    ) -> GraphIndex:
        """Build an index of items (N,), ascending; `fetch` returns their unit rows (N, D), some hundred per call."""
        graph = _new_graph(dim)
        graph.init_index(
            max_elements=len(ids), M=parameters.m, ef_construction=parameters.ef_construction, random_seed=100
        )
        _add(graph, ids, fetch, threads, progress)
        return cls(graph, parameters, ids)

    def grow(
        self,
        ids: Ids,
        fetch: Callable[[Ids], Rows],
        parameters: GraphParameters,
        threads: int,
        progress: Progress | None = None,
    ) -> GraphIndex:
        """Add items (N,), ascending, and return the new index; this one must no longer be used.

        It must not be in use by searches. The parameters may differ in `ef`.
        """
        self._graph.resize_index(len(self) + len(ids))
        _add(self._graph, ids, fetch, threads, progress)
        return GraphIndex(self._graph, parameters, np.union1d(self.ids, ids))

    @classmethod
    def load(
        cls, path: Path, dim: int, count: int, parameters: GraphParameters, digest: str | None = None
    ) -> GraphIndex:
        """Load an index after a full check of its file (`graph_file.py`).

        Args:
            path: its file.
            dim, count, parameters: what it was built with.
            digest: expected SHA-256 in hexadecimal; None accepts any.

        Raises:
            GalleryError: the file is not such an index, or is altered.
            OSError: it cannot be read.
        """
        try:
            with open_regular(path) as stream:
                found, ids = check_graph(stream, dim, count, parameters.m, parameters.ef_construction)
                if digest not in (None, found):
                    raise GalleryError("checksum mismatch: it is not the index that the gallery recorded")
                graph = _new_graph(dim)
                graph.load_index(_same_file(stream, path), max_elements=count)
                if not _is_whole(graph, ids, os.fstat(stream.fileno()).st_size):
                    raise GalleryError("could not be read whole")
        except (GalleryError, RuntimeError, MemoryError) as error:
            raise GalleryError(f"{path}: {error}") from error
        return cls(graph, parameters, np.sort(ids), found)

    def save(self, path: Path) -> None:
        """Write the index durably. Raises `OSError` if it cannot be written, or not whole."""
        path.touch()  # hnswlib ignores write errors; this and the filling below raise them
        self._graph.save_index(os.fsencode(path))  # holds the GIL, as load_index does
        with path.open("ab", buffering=0) as stream:
            missing = int(self._graph.index_file_size()) - path.stat().st_size
            for start in range(0, missing, _FILL_AT_ONCE):
                stream.write(bytes(min(_FILL_AT_ONCE, missing - start)))
            if missing:
                raise OSError(errno.EIO, "not all of it could be written", os.fspath(path))
            os.fsync(stream.fileno())

    def search(
        self,
        queries: Rows,
        k: int,
        alive: Callable[[Ids], NDArray[np.bool_]] | None = None,
        workers: Executor | None = None,
    ) -> tuple[Ids, Rows]:
        """Search approximately, with the recall that `ef` gives.

        Args:
            queries: unit rows (Q, D) float32.
            k: number of results, at most the number of items alive.
            alive: returns which ids (Q, K) count; None: all.
            workers: threads that share the queries; None: the caller's.
        """
        if k == 0:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        wide = k if alive is None else max(k, self.ef)  # hnswlib visits `ef` items in any case
        while wide * _WIDE_SHARE <= len(self) or wide == k:
            found = self._nearest(queries, wide, workers)
            if found is None:
                break
            ids, similarities = found
            if alive is None:
                return ids, similarities
            keep = alive(ids)
            if (keep.sum(axis=1) >= max(k, wide // _ALIVE_SHARE)).all():
                order = np.argsort(~keep, axis=1, kind="stable")[:, :k]
                return np.take_along_axis(ids, order, axis=1), np.take_along_axis(similarities, order, axis=1)
            wide *= _WIDER
        return self._scan(queries, k, alive)

    def rows(self, ids: Ids) -> Rows:
        """Return the unit rows (N, D) of items in the index."""
        return np.asarray(self._graph.get_items(ids), np.float32)

    def _nearest(self, queries: Rows, k: int, workers: Executor | None) -> tuple[Ids, Rows] | None:
        """Return hnswlib's results, None if links lead to fewer than `k` items."""

        def nearest(some: Rows) -> tuple[NDArray[np.uint64], Rows]:
            found: tuple[NDArray[np.uint64], Rows] = self._graph.knn_query(some, k=k, num_threads=1)
            return found

        try:
            if workers is None or len(queries) < 2:
                ids, distances = nearest(queries)
            else:  # hnswlib's own threads take at least four queries each and are started for every search
                ids, distances = map(np.concatenate, zip(*workers.map(nearest, queries[:, None]), strict=True))
        except RuntimeError:
            return None
        return ids.astype(np.int64), (1 - distances).astype(np.float32)

    def _scan(self, queries: Rows, k: int, alive: Callable[[Ids], NDArray[np.bool_]] | None) -> tuple[Ids, Rows]:
        """Search all alive items exactly, for when most neighbors are dead."""
        ids = self.ids if alive is None else self.ids[alive(self.ids)]
        return search_in_parts(queries, k, ids, self.rows, _COMPARE_AT_ONCE)


def _add(graph: Any, ids: Ids, fetch: Callable[[Ids], Rows], threads: int, progress: Progress | None) -> None:
    graph.set_num_threads(threads)
    at_once = _ADD_AT_ONCE * threads
    for start in range(0, len(ids), at_once):
        some = ids[start : start + at_once]
        graph.add_items(fetch(some), some)
        if progress:
            progress(start + len(some), len(ids))


def _is_whole(graph: Any, ids: Ids, size: int) -> bool:
    """Return whether a loaded index has the last row and level of its file.

    hnswlib does not notice read errors.
    """
    try:
        graph.get_items(ids[-1:])
    except RuntimeError:
        return False
    return int(graph.index_file_size()) == size


def _same_file(stream: BinaryIO, path: Path) -> bytes:
    """Return a path with which hnswlib opens the file that is open here; the file's own if there is none."""
    name = f"/proc/self/fd/{stream.fileno()}"
    return os.fsencode(name if os.path.exists(name) else path)


def _new_graph(dim: int) -> Any:
    try:
        import hnswlib
    except ImportError as error:
        raise GalleryError(
            f"large galleries need hnswlib ({error}); HNSWLIB_NO_NATIVE=1 pip install hnswlib"
        ) from error
    return hnswlib.Index(space="cosine", dim=dim)
