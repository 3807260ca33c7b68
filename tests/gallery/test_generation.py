"""A gallery with the embeddings of another extractor: same ids, labels, settings and log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, Meta, NewGalleryItem, Origin
from shitu_edge.gallery.care.generation import read_past, write_generation
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.store.past import Past

from .rows import DIM, create, unit_rows

OTHER = Meta("other", "f" * 32, 2 * DIM)
PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(200))
ROWS = unit_rows(20, DIM)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """Items added, removed, renamed, brought back, with settings and origins."""
    with create(tmp_path / "shop.gallery") as opened:
        origin = Origin((1, 2, 30, 40), "box", "a" * 64, PICTURE, (3, 3, 20, 20))
        opened.add(
            (
                NewGalleryItem(f"product {number % 4}", f"{number}.jpg", ROWS[number], origin if number < 3 else None)
                for number in range(8)
            ),
            author="ann",
        )
        opened.remove([2, 5], author="bob", note="gone")
        with opened.change(note="settings") as change:
            change.set("target", b"1")
            change.set("queries/labels", b"[]")
        opened.rename("product 3", "milk")
        opened.add([NewGalleryItem("tea", "", ROWS[9])])
        opened.history.rollback(3)
        yield opened


def vectors(past: Past) -> dict[int, bytes]:
    rows = unit_rows(len(past.items), OTHER.dim, 5)
    return {item: row.tobytes() for item, row in zip(sorted(past.items), rows, strict=True)}


def content(gallery: Gallery, revision: int) -> set[tuple[int, str, str]]:
    diff = gallery.history.diff(1, revision)
    return {(item.id, item.label, item.source) for item in diff.added}


def test_new_generation_has_the_same_past(gallery: Gallery, tmp_path: Path) -> None:
    past = read_past(gallery.path)
    write_generation(gallery.path, past, tmp_path / "new.gallery", OTHER, vectors(past), ["queries/"])
    assert verify(tmp_path / "new.gallery").faults == ()
    with Gallery.open(tmp_path / "new.gallery", background=False) as new:
        assert new.meta == OTHER
        assert new.history.id == gallery.history.id
        before, after = gallery.history.log(), new.history.log()
        assert [(one.id, one.created_at, one.author, one.note, one.added, one.removed) for one in after] == [
            (one.id, one.created_at, one.author, one.note, one.added, one.removed) for one in before
        ]
        for revision in range(1, gallery.revision + 1):
            assert content(new, revision) == content(gallery, revision)
        assert new.origins(range(1, 10)) == gallery.origins(range(1, 10)) != {}
        assert new.settings() == gallery.settings() == {}, "the rollback went back behind them"
        assert new.add([NewGalleryItem("new", "", unit_rows(1, OTHER.dim)[0])]) == [10], "no id is given twice"
        new.history.rollback(4)
        assert new.settings() == {"target": b"1"}
        expected = np.frombuffer(vectors(past)[3], "<f4")
        np.testing.assert_array_equal(new.embeddings([3])[0], expected)


def test_items_without_an_embedding_are_in_no_revision(gallery: Gallery, tmp_path: Path) -> None:
    past = read_past(gallery.path)
    some = {item: row for item, row in vectors(past).items() if item not in (1, 2)}
    write_generation(gallery.path, past, tmp_path / "new.gallery", OTHER, some)
    assert verify(tmp_path / "new.gallery").faults == ()
    with Gallery.open(tmp_path / "new.gallery", background=False) as new:
        for revision in range(1, gallery.revision + 1):
            assert content(new, revision) == {one for one in content(gallery, revision) if one[0] not in (1, 2)}
        assert set(new.origins(range(1, 10))) == {3}


def test_pruned_history_begins_where_it_did(gallery: Gallery, tmp_path: Path) -> None:
    gallery.history.prune(2)
    past = read_past(gallery.path)
    write_generation(gallery.path, past, tmp_path / "new.gallery", OTHER, vectors(past))
    assert verify(tmp_path / "new.gallery").faults == ()
    with Gallery.open(tmp_path / "new.gallery", background=False) as new:
        assert len(new.history.log()) == gallery.revision
        with pytest.raises(GalleryError, match="older ones were pruned"):
            new.history.rollback(2)
        assert [item.id for item in new.items()] == [item.id for item in gallery.items()]
        new.history.rollback(gallery.revision - 1)
        gallery.history.rollback(gallery.revision - 1)
        assert new.items() == gallery.items()


def test_existing_file_is_not_replaced(gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "new.gallery").write_bytes(b"mine")
    with pytest.raises(GalleryError, match="already exists"):
        write_generation(gallery.path, read_past(gallery.path), tmp_path / "new.gallery", OTHER, {})
    assert (tmp_path / "new.gallery").read_bytes() == b"mine"


def test_empty_gallery(tmp_path: Path) -> None:
    with create(tmp_path / "shop.gallery") as empty:
        write_generation(empty.path, read_past(empty.path), tmp_path / "new.gallery", OTHER, {})
    with Gallery.open(tmp_path / "new.gallery") as new:
        assert (len(new), new.revision) == (0, 1)
