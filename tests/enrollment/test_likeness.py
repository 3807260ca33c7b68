"""Items that resemble each other, by vectors whose cosines are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.enrollment import likeness
from shitu_edge.enrollment.likeness import Resemblance, identical_images, resemblances, spelled_alike
from shitu_edge.gallery import Gallery, NewGalleryItem


def _item(label: str, source: str, cosine: float) -> NewGalleryItem:
    """Return an item at a cosine to (1, 0)."""
    return NewGalleryItem(label, source, np.array([cosine, math.sqrt(1 - cosine * cosine)], np.float32))


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "x.gallery", extractor="x", fingerprint="f", dim=2, background=False) as opened:
        yield opened


def _pairs(found: list[Resemblance]) -> list[tuple[str, str]]:
    return [(one.source, one.other_source) for one in found]


@pytest.mark.parametrize("label", ["tea", "milk"])
@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize(("cosine", "found"), [(0.995, True), (0.985, True), (0.95, None), (0.89, False)])
def test_resemblances(gallery: Gallery, label: str, stored: bool, cosine: float, found: bool | None) -> None:
    """From 0.98 on an item of the label, from 0.9 on of another; of the gallery or among the new ones."""
    first, second = _item("tea", "a", 1), _item(label, "b", cosine)
    if stored:
        gallery.add([first])
    expected = found if found is not None else label == "milk"
    done = resemblances(gallery, [second] if stored else [first, second])
    assert _pairs(done) == ([("b", "a")] if expected else [])
    for one in done:
        assert (one.label, one.other_label) == (label, "tea")
        assert one.similarity == pytest.approx(cosine, abs=1e-5)


def test_resemblances_name_the_nearest_earlier_item(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "_ROWS", 2)
    items = [_item("tea", "a", 0.99), _item("tea", "b", 0.999), _item("tea", "c", 1), _item("milk", "d", 0.98)]
    assert _pairs(resemblances(gallery, items)) == [("b", "a"), ("c", "b"), ("d", "a")]


def test_resemblances_leave_out_what_is_replaced(gallery: Gallery) -> None:
    gallery.add([_item("tea", "old", 1), _item("milk", "m", 0.95)])
    assert _pairs(resemblances(gallery, [_item("tea", "new", 1)])) == [("new", "m"), ("new", "old")]
    assert _pairs(resemblances(gallery, [_item("tea", "new", 1)], replaced="tea")) == [("new", "m")]


def test_identical_images_are_told_by_their_content() -> None:
    items = [_item("tea", "a", 1), _item("tea", "b", 1), _item("milk", "c", 1)]
    assert identical_images(items, [b"1", b"2", b"3"]) == []
    found = identical_images(items, [b"1", b"1", b"1"])
    assert [(one.source, one.other_source, one.is_of_one_label) for one in found] == [
        ("b", "a", True),
        ("c", "a", False),
    ]


def test_spelled_alike() -> None:
    labels = ["Milk", "milk", "Ｍｉｌｋ", "Oat milk", "Oatmilk", "牛奶", "Tea", "tea"]
    found = spelled_alike(labels, ["milk", "Oatmilk", "牛奶"])
    assert found == [("Milk", "milk", "Ｍｉｌｋ"), ("Oat milk", "Oatmilk")]
