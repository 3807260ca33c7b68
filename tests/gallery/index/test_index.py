from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shitu_edge.gallery.index import GraphIndex, GraphParameters, default_ef
from shitu_edge.gallery.index.exact import ExactIndex
from shitu_edge.system.blas import SMALL_PRODUCT
from tests.gallery.rows import Rows, brute_force, build_graph, clustered_rows, run_python, unit_rows

QUICK = GraphParameters(m=8, ef_construction=60, ef=40)


def _halves(rng: np.random.Generator, count: int, dim: int) -> Rows:
    """Unit rows of four ±½: their cosines are multiples of ¼, so that equal ones are equal in any order of adding."""
    rows = np.zeros((count, dim), np.float32)
    for row in rows:
        row[rng.choice(dim, 4, replace=False)] = rng.choice([-0.5, 0.5], 4)
    return rows


# 700 queries × 64 exceed what is searched in pieces; 50 × 64 come in pieces of 81 gallery rows; 3 queries in one.
@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 200),
    queries=st.sampled_from([0, 1, 3, 50, 700]),
    dim=st.sampled_from([4, 16, 64]),
    k=st.integers(1, 250),
    seed=st.integers(0, 2**32 - 1),
)
def test_exact_search_is_brute_force_with_equals_by_id(count: int, queries: int, dim: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, asked = _halves(rng, count, dim), _halves(rng, queries, dim)
    ids = np.sort(rng.choice(10_000, count, replace=False)).astype(np.int64)

    found_ids, found = ExactIndex(ids, rows).search(asked, k)

    order, cosines = brute_force(rows, asked, k)
    assert found_ids.shape == (queries, min(k, count))
    np.testing.assert_array_equal(found_ids, ids[order])
    np.testing.assert_array_equal(found, cosines)


@pytest.mark.parametrize("queries", [5, 600])
def test_exact_search_of_few_and_many_queries(queries: int) -> None:
    dim, count = 64, 3000
    assert (queries * dim * 8 > SMALL_PRODUCT) == (queries == 600), "both ways through the products are wanted"
    rows, asked = unit_rows(count, dim), unit_rows(queries, dim, seed=1)

    ids, similarities = ExactIndex(np.arange(count, dtype=np.int64), rows).search(asked, 7)

    order, cosines = brute_force(rows, asked, 7)
    np.testing.assert_allclose(similarities, cosines, atol=1e-6)
    np.testing.assert_array_equal(ids, order)
    assert similarities.dtype == np.float32


def test_extending_leaves_the_first_index_alone() -> None:
    rows = unit_rows(5)
    small = ExactIndex(np.array([1, 2], np.int64), rows[:2])

    large = small.extended(np.array([7, 8, 9], np.int64), rows[2:])

    assert (len(small), len(large)) == (2, 5)
    np.testing.assert_array_equal(large.search(rows, 1)[0][:, 0], [1, 2, 7, 8, 9])
    assert set(small.search(rows, 5)[0].ravel().tolist()) == {1, 2}


def _recall(rows: Rows, queries: Rows, k: int) -> float:
    """Share of the true `k` neighbors that a graph with the default parameters finds."""
    ids = np.arange(len(rows), dtype=np.int64)
    found = build_graph(ids, rows, GraphParameters()).search(queries, 10)[0][:, :k]
    true = ExactIndex(ids, rows).search(queries, k)[0]
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(found.tolist(), true.tolist(), strict=True)]))


def test_graph_recall_on_clusters() -> None:
    rows = clustered_rows(5200, 64)
    gallery, queries = rows[:5000], rows[5000:]
    assert _recall(gallery, queries, 1) >= 0.99
    assert _recall(gallery, queries, 10) >= 0.99


@pytest.mark.shared_data
def test_graph_recall_on_embeddings_of_drinks(shared: Path) -> None:
    rows: NDArray[np.float32] = np.load(shared / "data" / "drinks" / "embeddings_v1.npy")
    queries = rows[::5]
    gallery = np.delete(rows, np.s_[::5], axis=0)
    assert _recall(gallery, queries, 1) >= 0.99
    assert _recall(gallery, queries, 10) >= 0.99


def test_a_search_looks_wider_the_more_items_there_are() -> None:
    """By `benchmarks/search.py` 208 of 100 000; the growth is less than linear, and small graphs have their least."""
    widths = [default_ef(items) for items in (1, 20_000, 100_000, 300_000, 1_000_000)]
    assert widths[2] == 208
    assert widths == sorted(widths)
    assert widths[:2] == [128, 128]
    assert widths[4] / widths[2] < 10


def test_a_width_that_was_asked_for_stays() -> None:
    ids, rows = np.arange(300, dtype=np.int64), unit_rows(300)
    asked, free = build_graph(ids, rows, QUICK), build_graph(ids, rows, replace(QUICK, ef=None))
    assert (asked.ef, free.ef) == (QUICK.ef, default_ef(300))


def test_graph_answers_cosines_under_its_ids() -> None:
    rows = unit_rows(300)
    ids = np.arange(300, dtype=np.int64) * 7 + 5
    calls: list[tuple[int, int]] = []

    graph = build_graph(ids, rows, QUICK, lambda done, total: calls.append((done, total)))
    found, similarities = graph.search(rows[:20], 3)

    np.testing.assert_array_equal(found[:, 0], ids[:20])
    cosines = np.einsum("qd,qkd->qk", rows[:20], rows[(found - 5) // 7])
    np.testing.assert_allclose(similarities, cosines, atol=1e-6)
    assert found.dtype == np.int64
    assert similarities.dtype == np.float32
    assert calls == [(100, 300), (200, 300), (300, 300)]
    assert graph.search(rows[:2], 1000)[0].shape == (2, 300)
    assert graph.search(rows[:0], 3)[0].shape == (0, 3)


def test_saved_graph_answers_the_same(tmp_path: Path) -> None:
    rows, queries = unit_rows(400), unit_rows(30, seed=1)
    graph = build_graph(np.arange(400, dtype=np.int64), rows, QUICK)
    graph.save(tmp_path / "graph")

    loaded = GraphIndex.load(tmp_path / "graph", 16, 400, QUICK)

    assert len(loaded) == 400
    for found, expected in zip(loaded.search(queries, 10), graph.search(queries, 10), strict=True):
        np.testing.assert_array_equal(found, expected)


_FULL_DISK = """
import json, resource, sys
from pathlib import Path
import numpy as np
from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, GraphParameters, NewGalleryItem

path = Path(sys.argv[1])
rows = np.random.default_rng(0).normal(size=(300, 32))
rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
items = [NewGalleryItem(str(i), "", row) for i, row in enumerate(rows)]
quick = GraphParameters(8, 40, 40)
with Gallery.create(path, extractor="e", fingerprint="f", dim=32) as gallery:
    gallery.add(items[:200])
    gallery.index.rebuild(quick)
    before = sorted(file.name for file in path.parent.glob("*.hnsw"))
    gallery.add(items[200:])
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        gallery.index.rebuild(quick)
        error = None
    except GalleryError as failure:
        error = str(failure)
    found = [row[0].label for row in gallery.search(rows, 1)]
    kind = gallery.info().search
print(json.dumps({
    "error": error, "found": found, "kind": kind, "before": before,
    "after": sorted(file.name for file in path.parent.iterdir()),
}))
"""


def test_full_disk_leaves_the_old_graph_in_use(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="file size limits are POSIX")
    answer = json.loads(run_python(_FULL_DISK, tmp_path / "g.gallery"))
    assert answer["error"].endswith("g.gallery: the index cannot be written: File too large")
    assert answer["kind"] == "graph"
    assert answer["found"] == [str(i) for i in range(300)]
    assert len(answer["before"]) == 1
    assert [name for name in answer["after"] if not name.endswith(("-wal", "-shm"))] == ["g.gallery", *answer["before"]]
