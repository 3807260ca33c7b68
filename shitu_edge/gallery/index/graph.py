"""Nearest neighbors by cosine in large galleries: an hnswlib graph.

Like an exact index it holds unit rows under item ids and answers `(ids, similarities)`, best first. It is derived data:
its file is only loaded when all of it is as hnswlib would have written it, and can always be built again.
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
from .exact import ExactIndex, merge
from .exact import Ids as Ids
from .exact import Rows as Rows
from .graph_file import check_graph

Progress = Callable[[int, int], None]
"""Called with what is done and the total."""

MOST_LINKS = 1000
_ADD_AT_ONCE = 100
"""Rows per thread: some tenths of a second, after which a build can be ended."""
_COMPARE_AT_ONCE = 1000
_FILL_AT_ONCE = 1 << 20
_WIDER = 4
_ALIVE_SHARE = 4
"""If less than a quarter of what was found is alive, too little was looked at (`tests/gallery/index/test_recall.py`)"""
_WIDE_SHARE = 8
"""A graph search for more than an eighth of the items takes longer than a look at all of them."""
_EF = 208
"""For 100 000 items; what finds 99 % of the nearest, of embeddings of 512 numbers (`benchmarks/search.py`)."""
_EF_GROWTH = 0.85
"""The power of the number of items with which that grows (`benchmarks/growth.py`)."""
_LEAST_EF = 128
"""Where a label was removed, only the tail of what a search returns counts (`tests/gallery/index/test_recall.py`)."""


@dataclass(frozen=True, slots=True)
class GraphParameters:
    """hnswlib's `M`, `ef_construction` and query-time `ef`, which the number of items decides when None."""

    m: int = 32
    ef_construction: int = 400
    ef: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges, which hnswlib does not; raises `GalleryError`."""
        breadths = (self.ef_construction, 1 if self.ef is None else self.ef)
        if not (2 <= self.m <= MOST_LINKS and all(1 <= breadth < 1 << 20 for breadth in breadths)):
            raise GalleryError(f"expected M of 2 to {MOST_LINKS} and a positive ef_construction and ef, found {self}")

    def ef_among(self, items: int) -> int:
        """Return the `ef` of a graph of so many items."""
        return self.ef or default_ef(items)


def default_ef(items: int) -> int:
    """Return how wide a search among so many items has to look to find 99 % of the nearest."""
    return max(_LEAST_EF, round(_EF * math.pow(items / 100_000, _EF_GROWTH)))


class GraphIndex:
    """An hnswlib cosine graph (Malkov and Yashunin 2016). Searched without a lock, as it never changes then."""

    def __init__(self, graph: Any, parameters: GraphParameters, ids: Ids, digest: str | None = None) -> None:
        self._graph = graph
        self.parameters = parameters
        self.digest = digest
        """Of the file that holds it; None while none does."""
        self.ids = ids
        """The ids of its items, ascending."""
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
        """Build a graph of items (N,), ascending, on a positive number of threads.

        `fetch` gives their unit rows (N, D), some hundred at a time.
        """
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
        """Take more items (N,), ascending, into the graph and return it anew; the one it was is void.

        Nobody may be searching it yet. The parameters may differ in `ef`.
        """
        self._graph.resize_index(len(self) + len(ids))
        _add(self._graph, ids, fetch, threads, progress)
        return GraphIndex(self._graph, parameters, np.union1d(self.ids, ids))

    @classmethod
    def load(
        cls, path: Path, dim: int, count: int, parameters: GraphParameters, digest: str | None = None
    ) -> GraphIndex:
        """Load a graph from a file, after a check of all of it (`graph_file.py`).

        Args:
            path: its file.
            dim, count, parameters: what it was built of and with.
            digest: SHA-256 that the file must have, in hexadecimal; any when None.

        Raises:
            GalleryError: the file is not such a graph, or is altered.
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
        """Write the graph durably.

        Raises:
            OSError: it cannot be written, or not whole.
        """
        path.touch()  # hnswlib passes over every failure in silence; this and the filling up below name the reason
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
        """Search as an exact index does, approximately, with the recall that `ef` buys.

        Args:
            queries: unit rows (Q, D) float32.
            k: how many, at most as many as are alive.
            alive: says which ids (Q, K) count; all when None.
            workers: threads that share the queries; the caller's own when None.
        """
        if k == 0:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        wide = k if alive is None else max(k, self.ef)  # hnswlib looks at `ef` whatever it returns
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
        """Return the unit rows (N, D) of some of its items, as it holds them."""
        return np.asarray(self._graph.get_items(ids), np.float32)

    def _nearest(self, queries: Rows, k: int, workers: Executor | None) -> tuple[Ids, Rows] | None:
        """Return what hnswlib finds, None where links lead to fewer than `k` items."""

        def nearest(some: Rows) -> tuple[NDArray[np.uint64], Rows]:
            found: tuple[NDArray[np.uint64], Rows] = self._graph.knn_query(some, k=k, num_threads=1)
            return found

        try:
            if workers is None or len(queries) < 2:
                ids, distances = nearest(queries)
            else:  # hnswlib's own threads take no fewer than four queries each, and are started anew for every search
                ids, distances = map(np.concatenate, zip(*workers.map(nearest, queries[:, None]), strict=True))
        except RuntimeError:
            return None
        return ids.astype(np.int64), (1 - distances).astype(np.float32)

    def _scan(self, queries: Rows, k: int, alive: Callable[[Ids], NDArray[np.bool_]] | None) -> tuple[Ids, Rows]:
        """Compare with all that is alive: right, and slow, where most of what is near is dead."""
        ids = self.ids if alive is None else self.ids[alive(self.ids)]
        best = ExactIndex.empty(queries.shape[1]).search(queries, k)
        for start in range(0, len(ids), _COMPARE_AT_ONCE):
            some = ids[start : start + _COMPARE_AT_ONCE]
            best = merge(best, ExactIndex(some, self.rows(some)).search(queries, k), k)
        return best


def _add(graph: Any, ids: Ids, fetch: Callable[[Ids], Rows], threads: int, progress: Progress | None) -> None:
    graph.set_num_threads(threads)
    at_once = _ADD_AT_ONCE * threads
    for start in range(0, len(ids), at_once):
        some = ids[start : start + at_once]
        graph.add_items(fetch(some), some)
        if progress:
            progress(start + len(some), len(ids))


def _is_whole(graph: Any, ids: Ids, size: int) -> bool:
    """Return whether a loaded graph has the last row and the last level of its file.

    hnswlib does not notice when reading fails, and goes on with whatever its memory held.
    """
    try:
        graph.get_items(ids[-1:])
    except RuntimeError:
        return False
    return int(graph.index_file_size()) == size


def _same_file(stream: BinaryIO, path: Path) -> bytes:
    """Return a name by which hnswlib opens the very file that is open here; where there is none, the file's own."""
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
