"""Search: exact against the hnswlib graph, and the graph's parameters.

    python -m benchmarks.search [--size 100000] [--m 32] [--ef-construction 400] [--threads 2]

Embeddings are synthetic, with the similarities of real ones (PP-ShiTu V1 on 1 069 drink photos: cosine within a
product 0.51 / 0.65 / 0.78 at 25 / 50 / 75 %, between products 0.11 in the median, 0.36 at 99 %, 0.46 at 99.9 %):
products of ten pictures each, in a space whose directions have unequal weight. Queries are further
pictures of the same products.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import describe_machine
from shitu_edge.gallery.index import ExactIndex, GraphIndex, GraphParameters

Rows = NDArray[np.float32]

DIM = 512
PICTURES = 10
SPECTRUM = 0.45
"""Direction i has weight i^-0.45: about 60 directions carry the variance, as in the real embeddings."""
COMMON = 0.115
"""Squared length of what all embeddings share: the median cosine between products."""
QUERIES = 1000
K = 10


def synthetic_embeddings(count: int, seed: int, dim: int = DIM) -> Rows:
    """Return unit rows (count, dim), a product's pictures next to each other."""
    rng = np.random.default_rng(seed)
    weights = np.arange(1, dim + 1) ** -SPECTRUM
    products = -(-count // PICTURES)
    product = np.repeat(np.arange(products), PICTURES)[:count]
    variety = rng.uniform(0.2, 0.75, products)[product, None]
    centres = _unit(rng.standard_normal((products, dim)) * weights)
    pictures = _unit(rng.standard_normal((count, dim)) * weights)
    own = np.sqrt(1 - variety) * centres[product] + np.sqrt(variety) * pictures
    common = _unit(rng.standard_normal((1, dim)))
    return _unit(np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * own).astype(np.float32)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = GraphParameters()
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--m", type=int, default=defaults.m)
    parser.add_argument("--ef-construction", type=int, default=defaults.ef_construction)
    parser.add_argument("--ef", type=int, nargs="+", default=[64, 128, 192, 256, 384])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    print(describe_machine())
    rows = synthetic_embeddings(args.size + QUERIES, seed=1)
    order = np.random.default_rng(0).permutation(len(rows))
    queries, vectors = rows[order[:QUERIES]], rows[order[QUERIES:]]
    ids = np.arange(len(vectors), dtype=np.int64)
    exact = ExactIndex(ids, vectors)
    truth = exact.search(queries, K)[0]
    _report(f"exact, {args.size} × {DIM}", exact, queries, truth)
    start = time.perf_counter()
    parameters = GraphParameters(args.m, args.ef_construction)
    graph = GraphIndex.build(ids, lambda some: vectors[some], DIM, parameters, args.threads)
    print(f"graph M {args.m}, ef_construction {args.ef_construction}: built in {time.perf_counter() - start:.0f} s")
    for ef in args.ef:
        _report(f"  ef {ef}", GraphIndex(graph._graph, GraphParameters(ef=ef)), queries, truth)


def _report(name: str, index: ExactIndex | GraphIndex, queries: Rows, truth: NDArray[np.int64]) -> None:
    times, first, shared = [], 0, 0
    for query, expected in zip(queries, truth, strict=True):
        start = time.perf_counter_ns()
        found = index.search(query[None], K)[0][0]
        times.append((time.perf_counter_ns() - start) / 1e6)
        first += int(found[0] == expected[0])
        shared += len(set(found.tolist()) & set(expected.tolist()))
    p50, p99 = np.percentile(times, [50, 99])
    recall_1, recall_10 = first / len(queries), shared / len(queries) / K
    print(f"{name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, recall@1 {recall_1:.4f}, recall@10 {recall_10:.4f}", flush=True)


if __name__ == "__main__":
    main()
