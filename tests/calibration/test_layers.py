"""The calibration of a gallery with a local layer: that of one gallery with the items of both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shitu_edge.bundle import Target
from shitu_edge.calibration import Calibrator, Queries, derive, gallery_samples, store
from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, NewGalleryItem
from shitu_edge.gallery.care.look_alikes import confirm_look_alikes
from shitu_edge.gallery.labels import NEGATIVE
from shitu_edge.gallery.layers import Layers
from shitu_edge.gallery.transfer.patch import apply_patch, write_patch
from tests.calibration.test_calibrator import DIM, accepts, photos
from tests.gallery.rows import create, unit


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[Layers]:
    """40 central products and 20 local ones, five photos each."""
    items = photos(60)
    with create(tmp_path / "shop.gallery", DIM) as central, create(tmp_path / "till.gallery", DIM) as local:
        central.add(items[:200])
        local.add(items[200:])
        yield Layers(central, local)


def own(layers: Layers) -> Gallery:
    assert layers.local is not None
    return layers.local


@pytest.fixture
def at_work(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A list that grows by an item each time that scores are derived."""
    calls: list[Any] = []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return gallery_samples.gallery_samples(*arguments)

    monkeypatch.setattr(derive, "gallery_samples", counted)
    return calls


def _halves(items: list[NewGalleryItem]) -> int:
    return len(items) // 2


SPLITS: dict[str, Callable[[list[NewGalleryItem]], int]] = {
    "none local": len,
    "all local": lambda items: 0,
    "halves": _halves,
    "inside a label": lambda items: _halves(items) + 2,
}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("products", [60, 12])
def test_two_layers_are_calibrated_as_one_gallery_with_the_same_items(
    tmp_path: Path, split: str, products: int
) -> None:
    items = photos(products)
    near = unit(items[-1].embedding[None] + 0.05)[0]
    items.append(NewGalleryItem(NEGATIVE, "", near))
    cohort = np.stack([item.embedding for item in photos(30, 5, each=1)])
    labeled = Queries(np.stack([item.embedding for item in photos(20, 6)]), ("label 3", None) * 50, "fp32")
    place = SPLITS[split](items)
    with (
        create(tmp_path / "one.gallery", DIM) as one,
        create(tmp_path / "shop.gallery", DIM) as central,
        create(tmp_path / "till.gallery", DIM) as local,
    ):
        one.add(items)
        central.add(items[:place])
        local.add(items[place:])
        for gallery in (one, central):
            store(gallery, queries=labeled)
        expected, found = Calibrator(one, None, cohort), Calibrator(Layers(central, local), None, cohort)
        targets = [accepts(0.1), accepts(0.02), accepts(0.3, 0.9), Target(max_wrong=0.2)]
        for target in targets[: len(targets) if products == 60 else 2]:
            theirs, ours = expected.kept_at(target), found.kept_at(target)
            assert replace(theirs, revision=0) == replace(ours, revision=0)
            assert theirs.threshold is not None
            likely, likely_here = expected.naming(theirs).probability, found.naming(ours).probability
            scores = (0.2, theirs.threshold, 0.9)
            assert [likely and likely.at(one) for one in scores] == [
                likely_here and likely_here.at(one) for one in scores
            ]
            claimed, claimed_here = expected.at_verification(target), found.at_verification(target)
            assert (claimed.threshold, claimed.state) == (claimed_here.threshold, claimed_here.state)


def test_a_local_layer_raises_the_number_of_products(layers: Layers) -> None:
    alone, both = Calibrator(layers.central, None).at(accepts(0.1)), Calibrator(layers, None).at(accepts(0.1))
    assert (alone.products, both.products) == (40, 60)
    assert alone.threshold != both.threshold


def test_settings_of_a_local_layer_are_ignored(layers: Layers, caplog: pytest.LogCaptureFixture) -> None:
    expected = Calibrator(layers, None).at(accepts(0.1))
    rows = own(layers).embeddings([1, 2])
    store(own(layers), Target(max_false_accept=0.3), Queries(rows, ("a", None), "fp32"))
    confirm_look_alikes(own(layers), ["label 50", "label 51"])
    with own(layers).change() as change:
        change.set("target", b"not JSON")
    with caplog.at_level(logging.WARNING):
        found = Calibrator(layers, None)
        assert (found.stored().target, found.stored().queries, found.stored().look_alikes) == (None, None, {})
        assert found.at(accepts(0.1)) == expected
    assert caplog.messages == []


def test_look_alikes_of_the_center_include_labels_that_only_the_local_layer_has_left(layers: Layers) -> None:
    confirm_look_alikes(layers.central, ["label 1", "label 2"])
    own(layers).add(NewGalleryItem("label 2", "", row) for row in own(layers).embeddings([1]))
    layers.central.remove(label="label 2")
    assert Calibrator(layers.central, None).stored().look_alikes == {}
    both = Calibrator(layers, None).stored().look_alikes
    assert both == dict.fromkeys(["label 1", "label 2"], frozenset({"label 1", "label 2"}))


@pytest.mark.parametrize("changed", ["central", "local"])
def test_a_tenth_of_all_items_makes_it_stale_whichever_layer_changes(
    layers: Layers, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    keeper, gallery = Calibrator(layers, None), layers.central if changed == "central" else own(layers)
    first = keeper.at(accepts(0.1), wait=True)
    monkeypatch.setattr(derive, "AT_ONCE", 0)  # as if it were large
    monkeypatch.setattr(Calibrator, "_begin", lambda self: None)
    gallery.remove(range(1, 30))
    assert keeper.at(accepts(0.1)) == first, "29 of 300 have changed"
    gallery.remove([30])
    assert keeper.at(accepts(0.1)).state == "stale"
    again = keeper.at(accepts(0.1), wait=True)
    assert (again.state, again.products) == ("calibrated", 54)
    assert again.revision == layers.central.revision


def test_changes_of_both_layers_add_up(layers: Layers, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Calibrator(layers, None)
    keeper.at(accepts(0.1), wait=True)
    monkeypatch.setattr(derive, "AT_ONCE", 0)
    monkeypatch.setattr(Calibrator, "_begin", lambda self: None)
    layers.central.remove(range(1, 16))
    own(layers).remove(range(1, 15))
    assert keeper.at(accepts(0.1)).state == "calibrated"
    own(layers).remove([15])
    assert keeper.at(accepts(0.1)).state == "stale"


def test_an_enrollment_counts_at_once_in_a_small_gallery(layers: Layers) -> None:
    keeper = Calibrator(layers, None)
    first = keeper.at(accepts(0.1))
    own(layers).add(photos(5, 7, "new"))
    second = keeper.at(accepts(0.1), wait=True)
    assert (second.products, second.revision) == (65, first.revision)
    assert second.threshold != first.threshold


def test_cache_serves_restarts_and_tells_the_contents_of_both_layers(
    layers: Layers, tmp_path: Path, at_work: list[Any]
) -> None:
    def found(some: Layers | Gallery) -> float | None:
        return Calibrator(some, tmp_path / "cache").at(accepts(0.1), wait=True).threshold

    first = found(layers)
    assert (found(layers), len(at_work)) == (first, 1)
    assert found(layers.central) != first
    changed = own(layers).revision
    own(layers).remove([1, 2])
    other = found(layers)
    assert other not in (first, found(layers.central))
    assert len(at_work) == 3
    own(layers).history.rollback(changed)
    assert (found(layers), len(at_work)) == (first, 3), "the same content has the same scores"
    layers.central.remove([1])
    found(layers)
    assert len(at_work) == 4


def test_cache_serves_a_large_gallery_after_few_changes_of_both(
    layers: Layers, tmp_path: Path, at_work: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derive, "AT_ONCE", 0)
    first = Calibrator(layers, tmp_path / "cache").at(accepts(0.1), wait=True)
    layers.central.remove([1, 2, 3])
    own(layers).remove([4, 5, 6])
    again = Calibrator(layers, tmp_path / "cache").at(accepts(0.1))
    assert (again, len(at_work)) == (first, 1)
    own(layers).remove(range(10, 40))
    assert Calibrator(layers, tmp_path / "cache").at(accepts(0.1), wait=True).threshold != first.threshold
    assert len(at_work) == 2


def test_a_patch_is_followed(layers: Layers, tmp_path: Path) -> None:
    layers.central.copy(tmp_path / "kiosk.gallery")
    base = layers.central.revision
    layers.central.add(photos(10, 8, "patched"))
    layers.central.remove(label="label 0")
    write_patch(layers.central, base, layers.central.revision, tmp_path / "p.patch")
    with Gallery.open(tmp_path / "kiosk.gallery", background=False) as kiosk:
        keeper = Calibrator(Layers(kiosk, own(layers)), None)
        before = keeper.at(accepts(0.1))
        apply_patch(kiosk, tmp_path / "p.patch")
        after = keeper.at(accepts(0.1), wait=True)
    assert (before.products, after.products) == (60, 69)
    assert after == Calibrator(layers, None).at(accepts(0.1))


@pytest.mark.parametrize("wanted", [1, -1])
def test_an_item_that_is_removed_and_pruned_while_scores_are_derived_is_no_error(
    layers: Layers, monkeypatch: pytest.MonkeyPatch, wanted: int
) -> None:
    gallery = layers.central if wanted > 0 else own(layers)
    embeddings, pruned = Layers.embeddings, list[object]()

    def pruning(self: Layers, ids: Any) -> Any:
        if wanted in ids and not pruned:
            gallery.remove([1])
            pruned.append(gallery.history.prune(0))
        return embeddings(self, ids)

    monkeypatch.setattr(Layers, "embeddings", pruning)
    found = Calibrator(layers, None).at(accepts(0.1), wait=True)
    assert pruned
    monkeypatch.undo()
    assert found == Calibrator(layers, None).at(accepts(0.1))


def test_a_closed_local_layer_is_an_error(layers: Layers) -> None:
    keeper = Calibrator(layers, None)
    keeper.at(accepts(0.1))
    own(layers).close()
    with pytest.raises(GalleryError, match=r"till\.gallery: is closed"):
        keeper.at(accepts(0.1))
