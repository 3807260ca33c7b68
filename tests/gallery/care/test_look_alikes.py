"""Groups of labels that images cannot tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, NewGalleryItem
from shitu_edge.gallery.care.audit import AuditLimits, audit
from shitu_edge.gallery.care.look_alikes import confirm_look_alikes, joined, look_alikes, separate_look_alikes
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
