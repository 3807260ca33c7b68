"""A gallery file against Milvus: from how many items on is Milvus worth it?

    python -m benchmarks.milvus [--size 100000] [--dim 512] [--uri http://host:19530] [--token user:password]

The same synthetic embeddings as in `benchmarks.search`, cut to the first `--dim` directions, in a gallery file with its
graph and in a collection, which is dropped afterward; without `--uri` in a Milvus Lite file. Each is then opened in a
process of its own, so that its memory is its own; a server's memory is its server's and is not in the figure. A search
is of six crops, the requests for the revision included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import uuid
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import describe_machine
from shitu_edge.bench.galleries import synthetic_embeddings
from shitu_edge.gallery import Gallery, NewGalleryItem
from shitu_edge.gallery.index.exact import ExactIndex
from shitu_edge.gallery.milvus import MilvusGallery, push
from shitu_edge.gallery.protocol import GallerySearch

Rows = NDArray[np.float32]

CROPS = 6
K = 10
SEARCHES = 200
WARM_UP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--uri")
    parser.add_argument("--token", default="")
    parser.add_argument("--measure", nargs=4, metavar=("KIND", "PLACE", "NAME", "QUERIES"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        kind, place, name, queries = args.measure
        _measure(kind, place, name, queries, args.token)
        return

    print(f"{describe_machine()}, pymilvus {version('pymilvus')}")
    with tempfile.TemporaryDirectory() as folder:
        _compare(Path(folder), args.size, args.dim, args.threads, args.uri or f"{folder}/milvus.db", args.token)


def _compare(folder: Path, size: int, dim: int, threads: int, uri: str, token: str) -> None:
    rows = synthetic_embeddings(size + SEARCHES * CROPS, dim, seed=1)
    order = np.random.default_rng(0).permutation(len(rows))
    queries, vectors = rows[order[: SEARCHES * CROPS]], rows[order[SEARCHES * CROPS :]]
    truth = ExactIndex(np.arange(1, size + 1), vectors).search(queries, K)[0]
    np.savez(folder / "queries.npz", queries=queries, truth=truth)

    path, name = folder / "products.gallery", f"benchmark_{uuid.uuid4().hex}"
    with Gallery.create(path, extractor="synthetic", fingerprint="0" * 32, dim=dim, background=False) as gallery:
        gallery.add(NewGalleryItem(f"product {i // 10}", "", row) for i, row in enumerate(vectors))
        start = time.perf_counter()
        gallery.index.rebuild(threads=threads)
        print(f"graph of {size} × {dim}: built in {time.perf_counter() - start:.1f} s")
        start = time.perf_counter()
        push(gallery, uri, name, token=token, settle_s=0)
        print(f"pushed to {uri if uri.startswith('http') else 'Milvus Lite'} in {time.perf_counter() - start:.1f} s")
    try:
        _run("file", str(path), "", folder, token)
        if not uri.startswith("http"):
            _let_go(uri)
        _run("milvus", uri, name, folder, token)
    finally:
        import pymilvus  # not before `push`, which keeps it from printing what it raises

        client = pymilvus.MilvusClient(uri, token=token)
        client.drop_collection(name)
        client.close()


def _let_go(uri: str) -> None:
    """Stop this process's Milvus Lite, which locks its file."""
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(uri)


def _run(kind: str, place: str, name: str, folder: Path, token: str) -> None:
    command = [sys.executable, "-m", "benchmarks.milvus", "--token", token]
    subprocess.run([*command, "--measure", kind, place, name, str(folder / "queries.npz")], check=True)


def _measure(kind: str, place: str, name: str, queries_file: str, token: str) -> None:
    """Time the searches of one kind, in this process, and print its figures."""
    with np.load(queries_file) as stored:
        queries, truth = stored["queries"], stored["truth"]
    before = _resident_mib()
    gallery: GallerySearch = (
        Gallery.open(place, background=False)
        if kind == "file"
        else MilvusGallery.open(place, name, token=token, timeout_s=60)
    )
    times, shared = [], 0
    for turn in range(-WARM_UP, len(queries) // CROPS):
        crops = slice(max(turn, 0) * CROPS, (max(turn, 0) + 1) * CROPS)
        start = time.perf_counter_ns()
        answers = gallery.search_with_revision(queries[crops], K)[1]
        if turn >= 0:
            times.append((time.perf_counter_ns() - start) / 1e6)
            for matches, expected in zip(answers, truth[crops].tolist(), strict=True):
                shared += len({match.item_id for match in matches} & {*expected})
    p50, p99 = np.percentile(times, [50, 99])
    print(
        f"{kind:<6}  {CROPS} crops: p50 {p50:.2f} ms, p99 {p99:.2f} ms, recall@{K} {shared / truth.size:.4f}, "
        f"memory {_resident_mib() - before:.0f} MiB",
        flush=True,
    )
    gallery.close()


def _resident_mib() -> float:
    """Return this process's resident memory, from Linux's `/proc`."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
