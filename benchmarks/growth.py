"""Growth of the search time with the gallery: one graph that grows from size to size, as in a shop.

    python -m benchmarks.growth [--dim 256] [--folder /tmp/growth-bench] [--threads 2]

Queries are further images of the gallery's products, as in `benchmarks.search`. At every size the graph is saved,
and searched as by a kiosk that has just opened it; an interrupted run continues from there. The last column is the
exponent: from one size to the next the time grew as the number of items to that power, 1 being linear.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import describe_machine
from shitu_edge.bench.galleries import further_images, synthetic_embeddings
from shitu_edge.gallery.index import GraphIndex, GraphParameters, Ids, Rows, default_ef
from shitu_edge.gallery.index.exact import ExactIndex

QUERIES = 1000
EXACT_QUERIES = 100
"""Timed; the others are asked together."""
SIZES = [10_000, 30_000, 100_000, 300_000, 1_000_000]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "growth-bench")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    print(describe_machine())
    args.folder.mkdir(parents=True, exist_ok=True)
    sizes = sorted(args.sizes)
    rows = synthetic_embeddings(sizes[-1], args.dim, seed=1)
    print(f"{args.dim} numbers an item, {QUERIES} queries one at a time\n")
    print("| items | graph built in s | ef | p50 ms | p99 ms | recall@1 | exact, p50 ms | exponent, p50 |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    before: tuple[int, float] | None = None
    for start, size in zip([0, *sizes], sizes, strict=False):
        path, took = _grown(args.folder, rows, start, size, args.threads)
        queries = further_images(QUERIES, size, args.dim, seed=1)
        times, found = _searched(path, queries, size)
        exact_times, truth = _exact(rows[:size], queries)
        p50, p99 = np.percentile(times, [50, 99])
        right = float((found == truth).mean())
        grew = "" if before is None else f"{math.log(p50 / before[1]) / math.log(size / before[0]):.2f}"
        times_and_recall = f"{p50:.2f} | {p99:.2f} | {right:.3f} | {np.median(exact_times):.1f}"
        print(f"| {size} | {took} | {default_ef(size)} | {times_and_recall} | {grew} |", flush=True)
        before = size, float(p50)


def _grown(folder: Path, rows: Rows, start: int, size: int, threads: int) -> tuple[Path, str]:
    """Return the file of the graph of `size` items, made from that of `start` where it is missing, and its seconds."""
    dim = rows.shape[1]
    path = folder / f"{size}x{dim}.hnsw"
    if path.exists():
        return path, "kept"
    begun = time.perf_counter()
    parameters, new = GraphParameters(), np.arange(start, size, dtype=np.int64)
    if start:
        graph = GraphIndex.load(folder / f"{start}x{dim}.hnsw", dim, start, parameters)
        graph = graph.grow(new, lambda some: rows[some], parameters, threads)
    else:
        graph = GraphIndex.build(new, lambda some: rows[some], dim, parameters, threads)
    took = time.perf_counter() - begun
    unfinished = path.with_suffix(".part")
    graph.save(unfinished)
    unfinished.rename(path)
    return path, f"{took:.0f}" if not start else f"+{took:.0f}"


def _searched(path: Path, queries: Rows, size: int) -> tuple[NDArray[np.float64], Ids]:
    """Return milliseconds and the nearest item (QUERIES,) of every query."""
    graph = GraphIndex.load(path, queries.shape[1], size, GraphParameters())
    times, found = [], []
    for query in queries:
        begun = time.perf_counter_ns()
        ids, _ = graph.search(query[None], 5)
        times.append((time.perf_counter_ns() - begun) / 1e6)
        found.append(ids[0, 0])
    return np.array(times), np.array(found)


def _exact(rows: Rows, queries: Rows) -> tuple[NDArray[np.float64], Ids]:
    """Return milliseconds of some queries, asked one at a time, and the nearest item (QUERIES,) of all."""
    index = ExactIndex(np.arange(len(rows), dtype=np.int64), rows)
    times, nearest = [], []
    for query in queries[:EXACT_QUERIES]:
        begun = time.perf_counter_ns()
        nearest.append(index.search(query[None], 5)[0][:, 0])
        times.append((time.perf_counter_ns() - begun) / 1e6)
    for some in np.split(queries[EXACT_QUERIES:], range(100, QUERIES - EXACT_QUERIES, 100)):
        nearest.append(index.search(some, 1)[0][:, 0])
    return np.array(times), np.concatenate(nearest)


if __name__ == "__main__":
    main()
