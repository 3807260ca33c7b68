"""What a graph of the default parameters still finds when much of what is near was removed, or came back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge.gallery import Gallery, NewGalleryItem
from shitu_edge.gallery.live import live as live_module
from tests.gallery.rows import Rows, brute_force, create, unit

DIM = 64
SIZES = {40: 328, 112: 17, 1000: 2, 3000: 1}
"""How many labels have so many items: 112 leave only the tail of what a search with an `ef` of 128 returns."""
SPREAD = 0.07
NEIGHBORS = 10


@dataclass(frozen=True)
class Shop:
    """An indexed gallery: item i + 1 has row i and the label of cluster `clusters[i]`."""

    path: Path
    rows: Rows
    clusters: NDArray[np.intp]
    queries: Rows
    """Eight around the center of each cluster, (C, 8, D)."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    rng = np.random.default_rng(0)
    sizes = np.repeat(list(SIZES), list(SIZES.values()))
    centers = unit(rng.normal(size=(len(sizes), DIM)))
    clusters = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows = unit(centers[clusters] + SPREAD * rng.normal(size=(len(clusters), DIM)))
    queries = unit((centers[:, None] + SPREAD * rng.normal(size=(len(sizes), 8, DIM))).reshape(-1, DIM))
    path = tmp_path_factory.mktemp("shop") / "shop.gallery"
    with create(path, DIM) as gallery:
        gallery.add(NewGalleryItem(f"product {cluster}", "", row) for cluster, row in zip(clusters, rows, strict=True))
        gallery.index.rebuild()
    return Shop(path, rows, clusters, queries.reshape(len(sizes), 8, DIM))


@pytest.fixture
def gallery(built: Shop, tmp_path: Path) -> Iterator[Gallery]:
    """A copy of it, open."""
    shutil.copytree(built.path.parent, tmp_path, dirs_exist_ok=True)
    with Gallery.open(tmp_path / built.path.name, background=False) as opened:
        assert _state(opened) == ("graph", 0, 0)
        yield opened


def _state(gallery: Gallery) -> tuple[str, int, int]:
    info = gallery.info()
    return info.search, info.pending, info.dead


def _recall(gallery: Gallery, queries: Rows, ids: NDArray[np.integer], rows: Rows) -> float:
    """The share of the true nearest, among the rows held under ascending ids, that the gallery finds."""
    order, _ = brute_force(rows, queries, NEIGHBORS)
    answers = gallery.search(queries, NEIGHBORS)
    assert {len(row) for row in answers} == {NEIGHBORS}
    pairs = zip(answers, ids[order].tolist(), strict=True)
    return float(np.mean([len({match.item_id for match in row} & set(true)) / NEIGHBORS for row, true in pairs]))


def _third(shop: Shop) -> NDArray[np.int64]:
    """The ids of 30 of 100 items."""
    count = len(shop.rows)
    return np.sort(np.random.default_rng(1).choice(count, 3 * count // 10, replace=False)) + 1


def test_recall_when_a_third_was_replaced_by_new_items(
    built: Shop, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = _third(built)
    count, queries = len(built.rows), built.queries[:, 0]
    kept = np.delete(np.arange(1, count + 1), gone - 1)

    gallery.remove(gone.tolist())
    assert _state(gallery) == ("graph", 0, len(gone))
    assert _recall(gallery, queries, kept, built.rows[kept - 1]) >= 0.99

    new = gallery.add(NewGalleryItem("new", "", built.rows[number - 1]) for number in gone)
    ids, rows = np.concatenate([kept, new]), built.rows[np.concatenate([kept, gone]) - 1]
    assert _state(gallery) == ("graph", len(gone), len(gone))
    assert _recall(gallery, queries, ids, rows) >= 0.99

    monkeypatch.setattr(live_module, "_DEAD_SHARE", 0.5)
    gallery.index.rebuild(extend=True)
    assert _state(gallery) == ("graph", 0, len(gone))
    assert _recall(gallery, queries, ids, rows) >= 0.99


def test_recall_when_a_third_was_brought_back(built: Shop, gallery: Gallery) -> None:
    """To a graph that has it still, and to one that was built without it."""
    gone = _third(built)
    queries, ids = built.queries[:, 1], np.arange(1, len(built.rows) + 1)

    gallery.remove(gone.tolist())
    gallery.history.rollback(2)
    assert _state(gallery) == ("graph", 0, 0)
    assert _recall(gallery, queries, ids, built.rows) >= 0.99

    gallery.remove(gone.tolist())
    gallery.index.rebuild()
    gallery.history.rollback(2)
    assert _state(gallery) == ("graph", len(gone), 0)
    assert _recall(gallery, queries, ids, built.rows) >= 0.99

    gallery.index.rebuild(extend=True)
    assert _state(gallery) == ("graph", 0, 0)
    assert _recall(gallery, queries, ids, built.rows) >= 0.99


@pytest.mark.parametrize("size", SIZES)
def test_the_next_neighbors_come_where_the_nearest_label_was_removed(built: Shop, gallery: Gallery, size: int) -> None:
    """One label after the other, each with the others there."""
    numbers = np.flatnonzero(np.bincount(built.clusters) == size)[:20]
    assert len(numbers) == min(20, SIZES[size])
    recalls = []
    for number in numbers.tolist():
        gallery.remove(label=f"product {number}")
        assert _state(gallery) == ("graph", 0, size)
        kept = np.flatnonzero(built.clusters != number)
        recalls.append(_recall(gallery, built.queries[number], kept + 1, built.rows[kept]))
        gallery.history.rollback(2)
    assert np.mean(recalls) >= 0.99


@pytest.mark.parametrize("size", SIZES)
def test_the_next_neighbors_come_where_many_labels_were_removed(built: Shop, gallery: Gallery, size: int) -> None:
    numbers = np.flatnonzero(np.bincount(built.clusters) == size)[::2]
    with gallery.change() as change:
        for number in numbers.tolist():
            change.remove(change.find(label=f"product {number}"))
    kept = np.flatnonzero(~np.isin(built.clusters, numbers))
    assert _state(gallery) == ("graph", 0, size * len(numbers))
    assert _recall(gallery, built.queries[numbers].reshape(-1, DIM), kept + 1, built.rows[kept]) >= 0.99
