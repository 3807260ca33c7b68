"""Groups of labels that images cannot tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, NewGalleryItem
from shitu_edge.gallery.care.audit import AuditLimits, audit
from shitu_edge.gallery.care.look_alikes import confirm_look_alikes, look_alikes, separate_look_alikes
from shitu_edge.gallery.label_settings import LOOK_ALIKES, QUERY_LABELS, joined
from shitu_edge.gallery.labels import NEGATIVE
from tests.gallery.rows import DIM, create, unit


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """Six labels of four images each; `tea 1` and `tea 2` are one product to the eye."""
    rng = np.random.default_rng(0)
    centers = unit(rng.normal(size=(5, DIM)))[[0, 0, 1, 2, 3, 4]]
    names = ["tea 1", "tea 2", "milk", "cola", "juice", "water"]
    with create(tmp_path / "shop.gallery", DIM) as opened:
        for name, center in zip(names, centers, strict=True):
            rows = unit(center + 0.05 * rng.normal(size=(4, DIM)))
            opened.add(NewGalleryItem(name, "", row) for row in rows)
        yield opened


def test_audit_proposes_labels_that_are_confused_both_ways(gallery: Gallery) -> None:
    items = gallery.items()
    found = audit(items, gallery.embeddings([item.id for item in items]), gallery.search, AuditLimits())
    assert found.look_alikes == (("tea 1", "tea 2"),)


def test_confirmed_groups_are_kept_joined_and_separated(gallery: Gallery) -> None:
    assert look_alikes(gallery) == ()
    assert confirm_look_alikes(gallery, ["tea 2", "tea 1"], author="ann") == (("tea 1", "tea 2"),)
    line = gallery.history.log()[0]
    assert (line.author, line.note) == ("ann", "look-alikes: tea 2, tea 1")
    confirm_look_alikes(gallery, ["milk", "water"])
    assert confirm_look_alikes(gallery, ["cola", "water"]) == (("cola", "milk", "water"), ("tea 1", "tea 2"))
    assert separate_look_alikes(gallery, ["milk", "tea 1"]) == (("cola", "water"),)
    assert look_alikes(gallery) == (("cola", "water"),)
    assert separate_look_alikes(gallery, ["cola"]) == look_alikes(gallery) == ()
    assert gallery.settings() == {}


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["tea 1"], "two labels or more"),
        (["tea 1", "tea 1"], "two labels or more"),
        (["tea 1", "beer"], "no item has the label 'beer'"),
        (["tea 1", " tea 1 "], "two labels or more"),
        (["tea 1", NEGATIVE], "no item has the label"),
        ([], "two labels or more"),
    ],
)
def test_what_is_no_group_is_refused_and_nothing_changes(gallery: Gallery, labels: list[str], reason: str) -> None:
    revision = gallery.revision
    with pytest.raises(GalleryError, match=reason):
        confirm_look_alikes(gallery, labels)
    with pytest.raises(GalleryError, match="is in no group"):
        separate_look_alikes(gallery, ["tea 1"])
    assert gallery.revision == revision


def test_joined_groups_share_no_label() -> None:
    assert joined([("a", "b"), ("c", "d"), ("b", "c"), ("e", "f"), ("f", "e")]) == (("a", "b", "c", "d"), ("e", "f"))
    assert joined([]) == ()


def test_group_holds_labels_as_the_gallery_spells_them(gallery: Gallery) -> None:
    [milk] = gallery.items("milk")[:1]
    gallery.add([NewGalleryItem("Caf\u00e9", "", gallery.embeddings([milk.id])[0])])
    assert confirm_look_alikes(gallery, ["Cafe\u0301", " tea 1"]) == (("Caf\u00e9", "tea 1"),)
    assert separate_look_alikes(gallery, ["Cafe\u0301 "]) == ()


def test_rename_into_a_label_of_another_group_joins_the_groups(gallery: Gallery) -> None:
    confirm_look_alikes(gallery, ["tea 1", "tea 2"])
    confirm_look_alikes(gallery, ["milk", "water"])
    gallery.rename("tea 2", "milk", merge=True)
    assert look_alikes(gallery) == (("milk", "tea 1", "water"),)


@pytest.mark.parametrize("name", [LOOK_ALIKES, QUERY_LABELS])
@pytest.mark.parametrize("value", [b"[" * 100_000, b'{"labels": 5}'])
def test_rename_leaves_alone_what_it_does_not_understand(gallery: Gallery, name: str, value: bytes) -> None:
    with gallery.change() as change:
        change.set(name, value)
    gallery.rename("milk", "oat milk")
    assert gallery.settings() == {name: value}


def test_items_that_are_not_products_have_no_look_alikes(gallery: Gallery) -> None:
    [item] = gallery.items("milk")[:1]
    gallery.add([NewGalleryItem(NEGATIVE, "", gallery.embeddings([item.id])[0])])
    with pytest.raises(GalleryError, match="expected labels of products"):
        confirm_look_alikes(gallery, ["milk", NEGATIVE])
