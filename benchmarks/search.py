"""Search among synthetic embeddings: exact, our graph (hnswlib), and faiss and usearch where they are installed.

    python -m benchmarks.search [--size 100000] [--m 32] [--ef-construction 400] [--threads 2]

Queries are further images of the gallery's products (`shitu_edge.bench.galleries`: the similarities of real
embeddings). Each is asked of every index in turn, one at a time. What counts is the time at equal recall: the last
table takes from each index the least `ef` that reaches the recall asked for. Peers: `pip install faiss-cpu usearch`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import describe_machine
from shitu_edge.bench.galleries import further_images, synthetic_embeddings
from shitu_edge.gallery.index import GraphIndex, GraphParameters
from shitu_edge.gallery.index.exact import ExactIndex

Rows = NDArray[np.float32]
Ids = NDArray[np.int64]

QUERIES = 1000
K = 10
RECALLS = (0.95, 0.98, 0.99, 0.995)


@dataclass(slots=True)
class Contestant:
    """An index at one setting: how it searches, and what it took and found."""

    index: str
    ef: int
    search: Callable[[Rows], Ids]
    times: list[float] = field(default_factory=list)
    found: list[Ids] = field(default_factory=list)

    def ask(self, query: Rows) -> None:
        """Search for one row (1, D)."""
        begun = time.perf_counter_ns()
        ids = self.search(query)
        self.times.append((time.perf_counter_ns() - begun) / 1e6)
        self.found.append(ids[:K])

    def recall(self, truth: Ids, count: int) -> float:
        """Return the share of the `count` nearest that was found."""
        pairs = zip(self.found, truth[:, :count].tolist(), strict=True)
        return sum(len(set(ids[:count].tolist()) & set(right)) for ids, right in pairs) / truth[:, :count].size

    def describe(self, truth: Ids) -> str:
        """Return a row of a table."""
        p50, p99 = np.percentile(self.times, [50, 99])
        recalls = f"{self.recall(truth, 1):.4f} | {self.recall(truth, K):.4f}"
        return f"| {self.index} | {self.ef or ''} | {p50:.2f} | {p99:.2f} | {recalls} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = GraphParameters()
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--m", type=int, default=defaults.m)
    parser.add_argument("--ef-construction", type=int, default=defaults.ef_construction)
    parser.add_argument("--ef", type=int, nargs="+", default=[64, 128, 208, 256, 384])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    print(describe_machine())
    rows = synthetic_embeddings(args.size, args.dim, seed=1)
    queries = further_images(QUERIES, args.size, args.dim, seed=1)
    exact = ExactIndex(np.arange(len(rows), dtype=np.int64), rows)
    truth = exact.search(queries, K)[0]
    contestants = [Contestant("exact", 0, lambda query: exact.search(query, K)[0][0])]
    for name, build in PEERS.items():
        if name != "shitu-edge" and find_spec(name) is None:
            print(f"{name} is not installed")
            continue
        begun = time.perf_counter()
        at = build(rows, args.m, args.ef_construction, args.threads)
        print(
            f"{name}: M {args.m}, ef_construction {args.ef_construction}, built in {time.perf_counter() - begun:.0f} s"
        )
        contestants += [Contestant(name, ef, at(ef)) for ef in args.ef]
    for query in queries:
        for contestant in contestants:
            contestant.ask(query[None])

    print(f"\n{args.size} × {args.dim}, {QUERIES} queries, milliseconds\n")
    print("| index | ef | p50 | p99 | recall@1 | recall@10 |\n| --- | --- | --- | --- | --- | --- |")
    for contestant in contestants:
        print(contestant.describe(truth))
    print("\nat equal recall@10:\n\n| at least | index | ef | p50 | p99 | recall@1 | recall@10 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for least in RECALLS:
        for name in dict.fromkeys(contestant.index for contestant in contestants[1:]):
            own = [c for c in contestants if c.index == name and c.recall(truth, K) >= least]
            if own:
                print(f"| {least} {min(own, key=lambda c: c.ef).describe(truth)}")


At = Callable[[int], Callable[[Rows], Ids]]
"""From `ef` to the search with it."""


def _ours(rows: Rows, m: int, ef_construction: int, threads: int) -> At:
    ids = np.arange(len(rows), dtype=np.int64)
    parameters = GraphParameters(m, ef_construction)
    graph = GraphIndex.build(ids, lambda some: rows[some], rows.shape[1], parameters, threads)

    def at(ef: int) -> Callable[[Rows], Ids]:
        def search(query: Rows) -> Ids:
            graph._graph.set_ef(ef)  # all share one graph, and take turns
            ids, _ = graph.search(query, K)
            nearest: Ids = ids[0]
            return nearest

        return search

    return at


def _faiss(rows: Rows, m: int, ef_construction: int, threads: int) -> At:
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexHNSWFlat(rows.shape[1], m, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = ef_construction
    index.add(rows)
    faiss.omp_set_num_threads(1)

    def at(ef: int) -> Callable[[Rows], Ids]:
        parameters = faiss.SearchParametersHNSW(efSearch=ef)  # type: ignore[attr-defined]  # its stubs lack it
        return lambda query: np.asarray(index.search(query, K, params=parameters)[1][0], np.int64)

    return at


def _usearch(rows: Rows, m: int, ef_construction: int, threads: int) -> At:
    from usearch.index import Index

    index = Index(ndim=rows.shape[1], metric="cos", dtype="f32", connectivity=m, expansion_add=ef_construction)
    index.add(np.arange(len(rows)), rows, threads=threads)

    def at(ef: int) -> Callable[[Rows], Ids]:
        def search(query: Rows) -> Ids:
            index.expansion_search = ef
            return np.asarray(index.search(query[0], K, threads=1).keys, np.int64)

        return search

    return at


PEERS: dict[str, Callable[[Rows, int, int, int], At]] = {"shitu-edge": _ours, "faiss": _faiss, "usearch": _usearch}


if __name__ == "__main__":
    main()
