"""A gallery that changes: opening, enrolling, removing, searching, indexing and memory, compared with bare hnswlib.

    python -m benchmarks.gallery [--size 100000] [--dim 512] [--folder /tmp/gallery-bench] [--threads 2]

Embeddings are those of `benchmarks.search`. The gallery and its graph stay in the folder, and are used again by the
next run of that size. Memory and opening are measured in a fresh process, the rest in this one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import describe_machine, interleave
from shitu_edge.bench.galleries import synthetic_embeddings
from shitu_edge.gallery import Gallery, NewGalleryItem

Rows = NDArray[np.float32]

CHANGES = 200
SEARCHES = 1000
K = 5

OPENING = """
import json, sys, time
import numpy, hnswlib
from shitu_edge.gallery import Gallery

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

before, start = resident(), time.perf_counter()
gallery = Gallery.open(sys.argv[1], background=False)
opened = time.perf_counter() - start
query = numpy.zeros((1, gallery.meta.dim), numpy.float32)
query[0, 0] = 1
gallery.search(query, 5)
print(json.dumps({"s": opened, "before": before, "after": resident()}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "gallery-bench")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    print(describe_machine())
    print(f"{args.size} × {args.dim}")
    rows = synthetic_embeddings(args.size + 2 * SEARCHES + args.size // 50, args.dim, seed=1)
    order = np.random.default_rng(0).permutation(len(rows))
    stored, queries, more = np.split(rows[order], [args.size, args.size + 2 * SEARCHES])
    kept = _kept(args.folder, stored, args.threads)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "bench.gallery"
        with Gallery.open(kept, background=False) as gallery:
            _timed("copy", partial(gallery.copy, path))
        _report_opening("open", path, stored)
        with Gallery.open(path, background=False) as gallery:
            _report_searches("search, all in the graph", gallery, queries[:SEARCHES], stored)
            _report_changes(gallery, more[:CHANGES])
            ids = gallery.add(NewGalleryItem(f"pending {i}", "", row) for i, row in enumerate(more))
            gallery.remove(range(1, args.size, 50))
            info = gallery.info()
            print(f"then {info.pending} items beside the graph, {info.dead} removed ones in it ({len(ids)} new)")
            _report_searches("search, with these", gallery, queries[SEARCHES:], stored)
        _report_opening("open, with these", path, stored)
        with Gallery.open(path, background=False) as gallery:
            gallery.add(NewGalleryItem("too many", "", row) for row in more)
        _report_background(path, queries)


def _kept(folder: Path, rows: Rows, threads: int) -> Path:
    """Return a gallery of these rows with a graph, made unless it is there."""
    path = folder / f"{len(rows)}x{rows.shape[1]}.gallery"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_suffix(".making")
    with Gallery.create(
        partial_path, extractor="synthetic", fingerprint="0" * 32, dim=rows.shape[1], background=False
    ) as gallery:
        items = (NewGalleryItem(f"product {i // 10}", f"{i}.jpg", row) for i, row in enumerate(rows))
        _timed("add all", lambda: gallery.add(items))
        _timed(f"index on {threads} threads", lambda: gallery.index.rebuild(threads=threads))
        gallery.copy(path)
    for file in folder.glob(f"{partial_path.name}*"):
        file.unlink()
    return path


def _report_opening(name: str, path: Path, rows: Rows) -> None:
    found = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", OPENING, str(path)], capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    vectors = rows.nbytes / 2**20
    seconds = sorted(run["s"] for run in found)
    grown = found[-1]["after"] - found[-1]["before"]
    print(
        f"{name}: {seconds[1]:.2f} s (of 3: {seconds[0]:.2f} to {seconds[2]:.2f}); resident {grown:.0f} MiB more, "
        f"{grown / vectors:.2f} × the vectors; {found[-1]['after']:.0f} MiB in all"
    )


def _report_searches(name: str, gallery: Gallery, queries: Rows, stored: Rows) -> None:
    view = gallery._live._view
    assert view.graph is not None
    bare = view.graph._graph
    turn = iter(np.tile(np.arange(len(queries)), 3))
    query = queries[:1]

    def first() -> None:
        nonlocal query
        query = queries[next(turn)][None]
        bare.knn_query(query, k=K, num_threads=1)

    times = interleave({"bare hnswlib": first, "Gallery.search": lambda: gallery.search(query, K)}, len(queries))
    for task, values in times.items():
        p50, p99 = np.percentile(values, [50, 99])
        print(f"{name}, {task}: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    ratios = [np.percentile(times["Gallery.search"], q) / np.percentile(times["bare hnswlib"], q) for q in (50, 99)]
    print(f"{name}: {ratios[0]:.2f} × bare at p50, {ratios[1]:.2f} × at p99")


def _report_changes(gallery: Gallery, rows: Rows) -> None:
    ids: list[int] = []

    def seen() -> None:
        gallery.search(rows[:1], K)

    adds, finds = _alternate(
        lambda i: ids.extend(gallery.add([NewGalleryItem(f"new {i}", "new.jpg", rows[i])], note="bench")),
        seen,
        len(rows),
    )
    removes, misses = _alternate(lambda i: gallery.remove([ids[i]], note="bench"), seen, len(rows))
    named = {"enroll one": adds, "the search after it": finds, "remove one": removes, "the search after that": misses}
    for name, values in named.items():
        p50, p99 = np.percentile(values, [50, 99])
        print(f"{name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {values.max():.2f} ms")


def _alternate(
    change: Callable[[int], object], seen: Callable[[], None], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    changes, searches = np.empty(count), np.empty(count)
    for i in range(count):
        start = time.perf_counter()
        change(i)
        middle = time.perf_counter()
        seen()
        changes[i], searches[i] = 1e3 * (middle - start), 1e3 * (time.perf_counter() - middle)
    return changes, searches


def _report_background(path: Path, queries: Rows) -> None:
    """Search all the while that the graph is brought up to date by a process of its own."""
    with Gallery.open(path) as gallery:
        times: list[float] = []
        start = time.perf_counter()
        gallery._live.upkeep.start(gallery._live._tend)
        done = threading.Event()

        def watch() -> None:
            gallery._live.upkeep.wait()
            done.set()

        threading.Thread(target=watch).start()
        for query in np.tile(queries, (1000, 1)):
            before = time.perf_counter()
            gallery.search(query[None], K)
            times.append(1e3 * (time.perf_counter() - before))
            if done.is_set():
                break
        info = gallery.info()
        p50, p99 = np.percentile(times, [50, 99])
        print(
            f"brought up to date in the background in {time.perf_counter() - start:.1f} s ({info.pending} pending, "
            f"{info.dead} dead then); {len(times)} searches meanwhile: p50 {p50:.2f} ms, p99 {p99:.2f} ms, "
            f"longest {max(times):.0f} ms"
        )


def _timed(name: str, task: Callable[[], object]) -> None:
    start = time.perf_counter()
    task()
    print(f"{name}: {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
